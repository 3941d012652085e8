package publisher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

// Retraction is an order to take files back.
type Retraction struct {
	Channel channel.ID
	Key     channel.PrivateKey // its scopes have to cover all names
	Names   []string           // names in the channel's view, or globs of them; may be empty with Release
	Release uint64             // only what this release brought; 0 for any
	Log     channel.PublicKey  // whose release that is
	Reason  string             // for people, and for ever
}

// Retracts says which files a retraction takes back, in ascending order of names,
// and changes nothing. A name or glob that is none of them gives ErrNoEntry, a
// release that is not here ErrNoRelease, a name that the key may not take back
// channel.ErrNotAuthorized.
func (p *Publisher) Retracts(ctx context.Context, r Retraction) ([]catalog.Entry, error) {
	if err := checkReason(r.Reason); err != nil {
		return nil, err
	}
	found, err := p.matching(ctx, r)
	if err != nil {
		return nil, err
	}
	info, err := p.cfg.Ledger.Channel(ctx, r.Channel)
	if err != nil {
		return nil, err
	}
	for _, part := range retractions(found, r.Reason) {
		if err := info.Root.Authorize(r.Key.Public(), part); err != nil {
			return nil, fmt.Errorf("%w; retract it with a key whose scope covers it", err)
		}
	}
	return found, nil
}

// Retract publishes tombstones for what Retracts says. Many files take several
// releases, each of which holds its tombstones itself, so that who has the manifest
// has them: those that stand are returned also with an error, after which the rest
// can be retracted again. It is Publish otherwise.
func (p *Publisher) Retract(ctx context.Context, r Retraction) ([]catalog.Entry, []Published, error) {
	found, err := p.Retracts(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	var out []Published
	for _, part := range retractions(found, r.Reason) {
		release := Release{Channel: r.Channel, Key: r.Key, Title: part.Title, Reason: r.Reason}
		for _, gone := range part.Removals {
			release.Remove = append(release.Remove, gone.Name)
		}
		done, err := p.publish(ctx, release)
		if err != nil {
			return found, out, err
		}
		out = append(out, done)
	}
	return found, out, nil
}

func checkReason(reason string) error {
	return channel.Body{Removals: []channel.Removal{{Name: "a", Reason: reason}}}.Validate()
}

// retractions are the bodies that remove files.
func retractions(files []catalog.Entry, reason string) (out []channel.Body) {
	const room = channel.MaxInlineBody - 1024
	size := room
	for _, e := range files {
		n := removalSize(e.Name, reason)
		if size += n; size > room || len(out[len(out)-1].Removals) == channel.MaxRemovals {
			out, size = append(out, channel.Body{Title: "Retraction"}), n
		}
		last := &out[len(out)-1]
		last.Removals = append(last.Removals, channel.Removal{Name: e.Name, Reason: reason})
	}
	return out
}

// MayBeGlob reports whether what was given is a pattern, unless there is a file of
// that very name: then it means that file alone.
func MayBeGlob(name string) bool { return strings.ContainsAny(name, `*?[\`) }

// maxNamed is how many names an error names.
const maxNamed = 3

// matching returns the files that a retraction means.
func (p *Publisher) matching(ctx context.Context, r Retraction) ([]catalog.Entry, error) {
	if r.Release > 0 {
		if err := p.hasRelease(ctx, r); err != nil {
			return nil, err
		}
	}
	found := map[string]catalog.Entry{}
	globs := map[string]func(string) bool{}
	var unknown []string
	for _, name := range r.Names {
		e, err := p.cfg.Ledger.Entry(ctx, r.Channel, name)
		switch {
		case err == nil && !e.Removed && r.brought(e):
			found[name] = e
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, err
		case MayBeGlob(name):
			if globs[name], err = policy.Glob(name); err != nil {
				return nil, fmt.Errorf("%w: %w", channel.ErrName, err)
			}
		case err == nil && e.Removed:
			unknown = append(unknown, fmt.Sprintf("%q (it was removed%s)", name, because(e.Reason)))
		default:
			unknown = append(unknown, fmt.Sprintf("%q", name))
		}
	}
	if len(globs) > 0 || len(r.Names) == 0 {
		hit := map[string]bool{}
		for e, err := range p.cfg.Ledger.Entries(ctx, r.Channel, catalog.EntryFilter{}) {
			if err != nil {
				return nil, err
			}
			if !r.brought(e) {
				continue
			}
			if len(r.Names) == 0 {
				found[e.Name] = e
			}
			for text, matches := range globs {
				if matches(e.Name) {
					hit[text], found[e.Name] = true, e
				}
			}
		}
		for text := range globs {
			if !hit[text] {
				unknown = append(unknown, fmt.Sprintf("%q", text))
			}
		}
	}
	switch {
	case len(unknown) > 0:
		slices.Sort(unknown)
		more := ""
		if n := len(unknown) - maxNamed; n > 0 {
			unknown, more = unknown[:maxNamed], fmt.Sprintf(" and %d more", n)
		}
		return nil, fmt.Errorf("%w: %s%s%s; channel-show lists what is there", ErrNoEntry, strings.Join(unknown, ", "), more, r.of())
	case len(found) == 0:
		return nil, fmt.Errorf("%w: nothing%s is in it any more; channel-show lists what is there", ErrNoEntry, r.of())
	}
	out := make([]catalog.Entry, 0, len(found))
	for _, e := range found {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b catalog.Entry) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// brought reports whether a file is of the release that is meant.
func (r Retraction) brought(e catalog.Entry) bool {
	return r.Release == 0 || e.Seq == r.Release && e.Log == r.Log
}

func (r Retraction) of() string {
	if r.Release == 0 {
		return ""
	}
	return fmt.Sprintf(" of release %d of log %s", r.Release, r.Log.Short())
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// hasRelease says that there is none of the number that is meant.
func (p *Publisher) hasRelease(ctx context.Context, r Retraction) error {
	info, err := p.cfg.Ledger.Channel(ctx, r.Channel)
	if err != nil {
		return err
	}
	if log := logOf(info, r.Log); log.Seq < r.Release {
		return fmt.Errorf("%w: log %s ends at release %d; channel-show lists the logs", ErrNoRelease, r.Log.Short(), log.Seq)
	}
	return nil
}
