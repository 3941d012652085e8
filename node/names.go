package node

import (
	"context"
	"fmt"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// petnameMark begins a petname where an address or a topic may stand too. No
// topic has it. Without it a name stands for its channel as well, before a topic
// that is spelt alike.
const petnameMark = "@"

// maxPetname is how long a petname may be, in bytes.
const maxPetname = 64

// parsePetname reads a name for a channel: a topic of one level. Case does not
// count.
func parsePetname(s string) (string, error) {
	s = strings.TrimPrefix(strings.TrimSpace(s), petnameMark)
	name, err := channel.NormalizeTopic(s)
	if err != nil {
		return "", badRequest("name %q: want letters, digits, - _ . +", s)
	}
	if strings.Contains(name, "/") || len(name) > maxPetname {
		return "", badRequest("name %q: want one word of at most %d bytes", s, maxPetname)
	}
	if _, err := channel.ParseID(name); err == nil {
		return "", badRequest("name %q: it looks like a channel's id", s)
	}
	return name, nil
}

// target reads an address, an id, a topic or a petname, of a channel as a whole.
func (n *Node) target(ctx context.Context, s string) (target, error) {
	t, err := n.targetIn(ctx, s)
	if err == nil {
		err = t.whole()
	}
	return t, err
}

// targetIn is target that also reads the address of what is in a channel.
func (n *Node) targetIn(ctx context.Context, s string) (target, error) {
	t, err := parseTarget(s)
	if err != nil || t.pet == "" && (t.topic == "" || strings.Contains(t.topic, "/")) {
		return t, err
	}
	name := t.pet + t.topic
	known, err := n.catalog.Petnames(ctx, name)
	switch {
	case err != nil:
		return target{}, err
	case len(known) == 1:
		a, err := channel.ParseAddress(known[0].Address)
		if err != nil {
			return target{}, fmt.Errorf("channel called %q: %w", name, err)
		}
		a.Path = "" // names are of channels
		return target{address: a}, nil
	case t.pet != "":
		return target{}, fmt.Errorf("no channel is called %q, see channel-trust: %w", name, catalog.ErrUnknown)
	}
	return t, nil
}

// Trust gives a channel a petname, takes one away, or lists all.
func (n *Node) Trust(ctx context.Context, req TrustRequest, _ func(any)) (TrustResult, error) {
	switch {
	case req.Forget != "":
		name, err := parsePetname(req.Forget)
		if err != nil {
			return TrustResult{}, err
		}
		if err := n.catalog.DropPetname(ctx, name); err != nil {
			return TrustResult{}, err
		}
	case req.Target != "":
		if err := n.name(ctx, req); err != nil {
			return TrustResult{}, err
		}
	}
	names, err := n.petnames(ctx)
	return TrustResult{Names: names}, err
}

func (n *Node) name(ctx context.Context, req TrustRequest) error {
	name, err := parsePetname(req.Name)
	if err != nil {
		return err
	}
	t, err := n.target(ctx, req.Target)
	if err != nil {
		return err
	}
	if t.topic != "" {
		return badRequest("%q is no channel: give its address or id", req.Target)
	}
	err = n.catalog.SetPetname(ctx, catalog.Petname{Name: name, Channel: t.address.ID, Address: t.address.StringWithReadKey()}, req.Replace)
	if err != nil {
		return fmt.Errorf("%w; --replace gives it to this one", err)
	}
	return nil
}

// petnames lists all, without read keys.
func (n *Node) petnames(ctx context.Context) ([]PetnameInfo, error) {
	known, err := n.catalog.Petnames(ctx, "")
	if err != nil {
		return nil, err
	}
	out := []PetnameInfo{}
	for _, p := range known {
		out = append(out, PetnameInfo{Name: p.Name, Channel: p.Channel.String(), Address: address(p.Channel)})
	}
	return out, nil
}

// TrustRequest gives the channel Target the petname Name, or forgets a name.
// Without either all names are listed.
type TrustRequest struct {
	Target  string `json:"target,omitempty"`
	Name    string `json:"name,omitempty"`
	Replace bool   `json:"replace,omitempty"` // also if another channel has it
	Forget  string `json:"forget,omitempty"`
}

// TrustResult has all petnames.
type TrustResult struct {
	Names []PetnameInfo `json:"names"`
}

// PetnameInfo is what this node's user calls a channel.
type PetnameInfo struct {
	Name    string `json:"name"`
	Channel string `json:"channel"`
	Address string `json:"address"` // without its read key
}

// withPetnames puts names into a list of channels.
func (n *Node) withPetnames(ctx context.Context, channels []ChannelInfo) error {
	names, err := n.petnames(ctx)
	if err != nil {
		return err
	}
	for i := range channels {
		for _, p := range names {
			if p.Channel == channels[i].Channel {
				channels[i].Petnames = append(channels[i].Petnames, p.Name)
			}
		}
	}
	return nil
}
