package subscriber

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// Follow is an order to write a channel's releases out.
type Follow struct {
	Subscription string // whose cursor says how far it got
	Channel      channel.ID
	Output       string // folder, made if missing
	Once         bool   // return when all that is known is applied
	Blind        bool   // have the blobs of what cannot be read, for others
	KeepBlobs    bool   // keep the blobs of files as well, in spite of Config.Place, which should be a *inplace.Keeper then
}

const (
	// releasePage is how many releases are read at a time.
	releasePage = 16
	// maxToldErrors is how many skipped things Follow's error names; the events
	// told of all.
	maxToldErrors = 16
)

// Follow applies a channel's releases after the cursor, in the ledger's order,
// and those that come, until ctx ends, whose cause it then returns. With Once it
// returns when none is left.
//
// A release is applied like this: its removals, then all of its files, then the
// cursor moves. A file is fetched to a hidden folder inside of Output, checked
// against its signed size and SHA-256, synced, and only then gets its name. One
// that is there already is not fetched again. A crash at any moment leaves each
// name with the old file or the new one; the release is then applied again.
//
// What only waiting, a peer or the user can mend (a blob that nobody has, a full
// disk, a folder without permission) ends Follow with an error, after whatever
// else of the release could be had; the cursor stays, and a later Follow goes on
// there. What cannot be mended is told in an ErrorEvent and skipped: a file
// that is not what was signed for, a name that something else occupies, a
// malformed body. With Once, Follow also returns those errors when it is
// through.
//
// Beside the files, Follow fetches each release's inventory for mirrors; no
// cursor waits for it. One that cannot be had is tried again with the releases
// that come, after a while, and by the next Follow. With Once, those that are
// being looked for in the end have a second to come.
//
// What is sealed in a private channel is opened first, see Unlock. A release that
// stays sealed is passed over, and news once it can be opened; where no read key
// of the channel is known at all, Blind has its blobs fetched for others, unread.
//
// The channel's view decides between releases of several logs: a file whose
// name a release of another log holds rightfully is not written, nor one that
// a known later release removes. Files that were changed in Output are never
// deleted, see KeptEvent.
//
// emit is called by one goroutine at a time and must be quick. One subscription
// must not be followed twice at a time into one Output.
func (s *Subscriber) Follow(ctx context.Context, order Follow, emit func(Event)) error {
	f := &follower{cfg: s.cfg, order: order, emit: emit, unlocker: newUnlocker(s.cfg, order.Channel)}
	news := make(chan struct{}, 1)
	defer s.cfg.Ledger.Watch(func(id channel.ID, _ feed.Kind) {
		if id == order.Channel {
			select {
			case news <- struct{}{}:
			default: // there is news already
			}
		}
	})()
	if order.Output == "" {
		return errors.New("following: no output folder")
	}
	if err := os.MkdirAll(order.Output, 0o777); err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	if err := f.reclaimAll(ctx); err != nil {
		return err
	}
	f.inventories = keepInventories(ctx, s.cfg, order)
	defer f.inventories.stop(0)
	for {
		if err := f.catchUp(ctx); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		if err := f.tidy(ctx); err != nil {
			return err
		}
		if order.Once {
			f.inventories.stop(inventoryGrace)
			return errors.Join(f.skipped...)
		}
		select {
		case <-news:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// follower is one run of Follow.
type follower struct {
	cfg     Config
	order   Follow
	emit    func(Event)
	skipped []error // the first of those that were told in events; with Once alone

	inventories *inventories
	unlocker    *unlocker
	pulse       pulse
}

func (f *follower) tag() string {
	return "follow " + f.order.Subscription + " " + f.order.Channel.String()
}

// tidy deletes what runs that did not end left unfinished, and nothing goes on
// with: all is applied.
func (f *follower) tidy(ctx context.Context) error {
	if !hasLeftovers(f.order.Output, f.tag()) {
		return nil
	}
	out, err := openOutput(f.order.Output, f.tag())
	if err != nil {
		return err
	}
	defer out.close()
	return out.prune(ctx, f.cfg.Place, nil)
}

// catchUp applies releases until none is left.
func (f *follower) catchUp(ctx context.Context) error {
	cursor, err := f.cfg.Ledger.Cursor(ctx, f.order.Subscription, f.order.Channel)
	if err != nil {
		return err
	}
	for {
		if err := f.unlocker.run(ctx); err != nil {
			return err
		}
		releases, err := f.cfg.Ledger.Releases(ctx, f.order.Channel, cursor, releasePage)
		if err != nil {
			return err
		}
		if len(releases) == 0 {
			return nil
		}
		for _, r := range releases {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			if err := f.apply(ctx, r); err != nil {
				return fmt.Errorf("applying release %d of log %s: %w", r.Seq, r.Log.Short(), err)
			}
			if err := f.cfg.Ledger.SetCursor(ctx, f.order.Subscription, f.order.Channel, cursor, r.Position); err != nil {
				return err
			}
			cursor = r.Position
		}
	}
}

// apply does all that a release asks for, and returns when it is safe on disk.
func (f *follower) apply(ctx context.Context, r catalog.Release) error {
	f.inventories.want(r)
	body, err := f.body(ctx, r)
	if err != nil || body == nil {
		return err
	}
	m := ManifestEvent{
		Event: "manifest", Channel: r.Channel, Log: r.Log, Seq: r.Seq, Hash: r.Hash, Issued: r.Manifest.Issued,
		Title: body.Title, Description: body.Description, Metadata: body.Metadata,
		Entries: len(body.Entries), Removals: len(body.Removals),
	}
	for _, e := range body.Entries {
		m.Bytes += e.Size
	}
	f.emit(m)
	if len(body.Entries)+len(body.Removals) > 0 {
		if err := f.write(ctx, r, body); err != nil {
			return err
		}
	}
	if s, ok := f.cfg.Blobs.(blobnet.Syncer); ok {
		if err := s.Sync(ctx); err != nil {
			return fmt.Errorf("syncing the blob store: %w", err)
		}
	}
	return nil
}

// write changes the output folder as the release says.
func (f *follower) write(ctx context.Context, r catalog.Release, body *channel.Body) error {
	out, err := openOutput(f.order.Output, f.tag())
	if err != nil {
		return err
	}
	defer out.close()
	out.floor = f.cfg.MinFree
	a := &application{follower: f, release: r, body: body, out: out}
	if err := a.look(ctx); err != nil {
		return err
	}
	if err := a.remove(ctx); err != nil {
		return err
	}
	err = a.fetch(ctx)
	if syncErr := out.sync(); err == nil {
		err = syncErr
	}
	return err
}

// skip tells of what will not be tried again.
func (f *follower) skip(r catalog.Release, name string, err error) {
	if f.order.Once && len(f.skipped) < maxToldErrors {
		f.skipped = append(f.skipped, err)
	}
	f.emit(ErrorEvent{Event: "error", Channel: r.Channel, Log: r.Log, Seq: r.Seq, Name: name, Message: err.Error()})
}
