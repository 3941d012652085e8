package publisher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// severally is what to do about a release that is over the format's limits.
const severally = "publish it as several releases"

// valid checks all of a body that its format asks for, its encoded size too.
func valid(body channel.Body) error {
	err := body.Validate()
	if err == nil {
		_, err = channel.EncodeBody(body)
	}
	switch {
	case err == nil:
		return nil
	case len(body.Entries) > channel.MaxEntries, len(body.Removals) > channel.MaxRemovals, errors.Is(err, channel.ErrTooLarge):
		return fmt.Errorf("release: %w; %s", err, severally)
	}
	return fmt.Errorf("release: %w", err)
}

// admit checks a valid body against its channel as it is now: that its key may
// publish it, and that it fits the view.
func (p *Publisher) admit(ctx context.Context, r Release, body channel.Body) (catalog.Info, catalog.LogInfo, *private, error) {
	info, log, err := p.mayPublish(ctx, r.Channel, r.Key.Public())
	var v *private
	if err == nil {
		v, err = p.private(ctx, info)
	}
	if err == nil {
		err = info.Root.Authorize(r.Key.Public(), body)
	}
	if err == nil {
		err = p.fits(ctx, r.Channel, body)
	}
	return info, log, v, err
}

// mayPublish reads where a log stands and says in words why its key may not go
// on with it: what everybody else would only refuse.
func (p *Publisher) mayPublish(ctx context.Context, id channel.ID, key channel.PublicKey) (catalog.Info, catalog.LogInfo, error) {
	info, err := p.cfg.Ledger.Channel(ctx, id)
	if err != nil {
		return info, catalog.LogInfo{}, err
	}
	log := logOf(info, key)
	now := p.cfg.Now()
	publisher, ok := info.Root.Publisher(key)
	switch {
	case !info.HasRoot:
		return info, log, fmt.Errorf("its root is not known here: %w", fs.ErrNotExist)
	case isRevoked(info.Root, key):
		v, _ := info.Root.RevokedKey(key)
		return info, log, fmt.Errorf("%w: key %s was revoked after its release %d; publish with the key that took its place, or have a new one let in", channel.ErrNotAuthorized, key.Short(), v.Seq)
	case !ok || publisher.Role != channel.RolePublish:
		return info, log, fmt.Errorf("%w: key %s is none of its publishers", channel.ErrNotAuthorized, key.Short())
	case now.After(info.Root.Expires.Time()):
		return info, log, fmt.Errorf("%w: its root expired %s; sign a new one with its root key", channel.ErrExpired, info.Root.Expires)
	case !publisher.Expires.IsZero() && now.After(publisher.Expires.Time()):
		return info, log, fmt.Errorf("%w: the right of key %s to publish ended %s", channel.ErrExpired, key.Short(), publisher.Expires)
	case log.Frozen:
		return info, log, fmt.Errorf("%w: the log of key %s is frozen: it has two manifests with one number; a new root has to say which counts", channel.ErrChain, key.Short())
	}
	if err := behindClaim(log); err != nil {
		return info, log, err
	}
	return info, log, p.doubt(id, key, log.Seq, log.Hash)
}

func isRevoked(root channel.Root, key channel.PublicKey) bool {
	_, ok := root.RevokedKey(key)
	return ok
}

// logOf is what is known of a key's log, which may be nothing.
func logOf(info catalog.Info, key channel.PublicKey) catalog.LogInfo {
	if i := slices.IndexFunc(info.Logs, func(l catalog.LogInfo) bool { return l.Log == key }); i >= 0 {
		return info.Logs[i]
	}
	return catalog.LogInfo{Log: key}
}

// behindClaim is an error if a head names a manifest that is missing here.
func behindClaim(log catalog.LogInfo) error {
	if log.Claimed <= log.Seq {
		return nil
	}
	return fmt.Errorf("%w: manifest %d of log %s is known elsewhere, here it ends at %d; sync with a follower first, or the log forks (if nobody has it, a head key lies: channel-revoke it)", channel.ErrChain, log.Claimed, log.Log.Short(), log.Seq)
}

// removable checks that all names are in the channel's view.
func (p *Publisher) removable(ctx context.Context, id channel.ID, names []string) error {
	for _, name := range names {
		if id.IsZero() {
			return fmt.Errorf("removing %q: %w, which is new", name, ErrNoEntry)
		}
		e, err := p.cfg.Ledger.Entry(ctx, id, name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && e.Removed {
			return fmt.Errorf("removing %q: %w", name, ErrNoEntry)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fits checks a body against the channel's view: what it removes is there, and
// no name of it becomes a folder of another, or the reverse. Subscribers, who
// write files, could not follow.
func (p *Publisher) fits(ctx context.Context, id channel.ID, body channel.Body) error {
	removed := map[string]bool{}
	names := make([]string, len(body.Removals))
	for i, r := range body.Removals {
		names[i], removed[r.Name] = r.Name, true
	}
	if err := p.removable(ctx, id, names); err != nil {
		return err
	}
	folders := map[string]bool{}
	for _, e := range body.Entries {
		for dir := path.Dir(e.Name); dir != "." && !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
			file, err := p.cfg.Ledger.Entry(ctx, id, dir)
			if err == nil && !file.Removed && !removed[dir] {
				return fmt.Errorf("%w: %q is a file in the channel and the folder of %q; remove one in this release", ErrConflict, dir, e.Name)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		for below, err := range p.cfg.Ledger.Entries(ctx, id, catalog.EntryFilter{Prefix: e.Name + "/"}) {
			if err != nil {
				return err
			}
			if !removed[below.Name] {
				return fmt.Errorf("%w: %q is the folder of %q in the channel; remove one in this release", ErrConflict, e.Name, below.Name)
			}
		}
	}
	return nil
}
