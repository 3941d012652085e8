package node

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

// onlyPath is the policy of a subscription to the address of a file or folder in a
// channel: that, and what is below it. Nothing that is there already is made to take
// something else by that.
func (n *Node) onlyPath(ctx context.Context, sub catalog.Subscription, path string, c PolicyChange) (PolicyChange, error) {
	if path == "" {
		return c, nil
	}
	said, err := c.apply(policy.Policy{})
	if err != nil {
		return c, err
	}
	if len(said.Paths) > 0 {
		return c, badRequest("the address names %q, and the policy other paths: leave out either", path)
	}
	paths := globsOf(path)
	subs, err := n.catalog.Subscriptions(ctx)
	if err != nil {
		return c, err
	}
	for _, s := range subs {
		if s.Channel != sub.Channel || s.Output != sub.Output {
			continue
		}
		if p, err := policyOf(s); err == nil && !slices.Equal(p.Paths, paths) {
			return c, badRequest("a subscription to %s writes to %s already, and takes more than %q or something else: give this one another folder with -o, or change that one with channel-set --path", address(sub.Channel), sub.Output, path)
		}
	}
	text, err := json.Marshal(policy.Policy{Paths: paths})
	if err != nil {
		return c, err
	}
	c.Flags = append(slices.Clip(c.Flags), Document{Name: "the path of the address", Text: text})
	return c, nil
}

// named reports whether something in a channel is, or was, named by path, or lies below
// it. Where not all names can be read here it may be.
func (n *Node) named(ctx context.Context, id channel.ID, path string) (bool, error) {
	info, err := n.catalog.Channel(ctx, id)
	if err != nil || info.Sealed > 0 || info.MissingBodies > 0 {
		return true, err
	}
	if _, err := n.catalog.Entry(ctx, id, path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return true, err
	}
	for _, err := range n.catalog.Entries(ctx, id, catalog.EntryFilter{Prefix: path + "/", Limit: 1, Removed: true}) {
		return true, err
	}
	return false, nil
}

// globsOf are the patterns of one name, as a file or as a folder.
func globsOf(path string) []string {
	var b strings.Builder
	b.WriteByte('/')
	for i := range len(path) {
		if strings.IndexByte(`*?[\\`, path[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(path[i])
	}
	return []string{b.String(), b.String() + "/**"}
}

// CheckSubscribe says what is wrong with what a request names. It needs no node.
func CheckSubscribe(req SubscribeRequest) error {
	if _, err := parseTarget(req.Target); err != nil {
		return err
	}
	return CheckTargets(req.Trust...)
}
