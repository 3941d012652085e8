package publisher

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
)

// Release is what a publication says.
type Release struct {
	Channel     channel.ID
	Key         channel.PrivateKey // of the log
	Title       string
	Description string
	Metadata    map[string]string
	Entries     []channel.FileEntry // in any order; all of their blobs are in the store
	Remove      []string            // names in the channel's view, in any order
	Reason      string              // why they are removed; may be empty
	Mirrors     []string            // for the head

	retaining bool // it is there for what the keep rules remove, and for nothing else
}

func (r Release) body() channel.Body {
	b := channel.Body{
		Title: r.Title, Description: r.Description, Metadata: maps.Clone(r.Metadata), Entries: slices.Clone(r.Entries),
	}
	for _, name := range r.Remove {
		b.Removals = append(b.Removals, channel.Removal{Name: name, Reason: r.Reason})
	}
	b.Sort()
	return b
}

// Published is a release that stands.
type Published struct {
	Channel channel.ID
	Seq     uint64
	Hash    channel.Hash // of the manifest
	Blobs   int          // of its files, body and inventory, all pinned
	Bytes   uint64       // of plaintext
	Retired Retired      // what the channel's keep rules made of it

	// Unannounced is why the broadcast failed, nil if it did not. The release
	// stands: followers find it when they sync.
	Unannounced error
}

// Publish adds a release to the key's log; what the channel's keep rules let go of
// is removed by it, too, and by releases right after it where there is more than it
// holds. When it returns nil the release and
// all that it names survive a power loss, and it has been broadcast, or
// Published says why not. On an error nothing has changed but the contents of
// the store, nothing is pinned, and nobody was told.
//
// One release has at most channel.MaxEntries entries and as many removals;
// publish more as several releases. A name to be removed that the channel does
// not have gives ErrNoEntry, one that would be file and folder at once
// ErrConflict, a blob that is not in the store ErrMissing, a key that may not
// publish channel.ErrNotAuthorized or ErrExpired.
func (p *Publisher) Publish(ctx context.Context, r Release) (Published, error) {
	done, err := p.publish(ctx, r)
	if err == nil && len(done.Retired.Left) > 0 {
		// The release stands. What is left then goes with the next one.
		more, _ := p.Retain(ctx, r.Channel, r.Key)
		for _, m := range more {
			done.Retired.Removed = append(done.Retired.Removed, m.Retired.Removed...)
			done.Retired.Left = m.Retired.Left
		}
	}
	return done, err
}

// publish makes one release.
func (p *Publisher) publish(ctx context.Context, r Release) (Published, error) {
	body := r.body()
	if err := valid(body); err != nil {
		return Published{}, err
	}
	published, envelopes, err := p.append(ctx, r, body)
	if err != nil {
		return Published{}, err
	}
	published.Unannounced = p.broadcast(ctx, r.Channel, envelopes)
	return published, nil
}

// append does all of a publication but telling others, in the log's turn.
func (p *Publisher) append(ctx context.Context, r Release, body channel.Body) (Published, [][]byte, error) {
	release, err := p.turns.take(ctx, logKey{r.Channel, r.Key.Public()})
	if err != nil {
		return Published{}, nil, err
	}
	defer release()
	retired, err := p.retire(ctx, r, &body)
	if err == nil && r.retaining && len(retired.Removed) == 0 {
		err = errNothingToRetire
	}
	if err != nil {
		return Published{}, nil, err
	}
	info, log, v, err := p.admit(ctx, r, body)
	if err != nil {
		return Published{}, nil, err
	}
	old, err := p.outdated(ctx, r, body)
	if err != nil {
		return Published{}, nil, err
	}
	held := p.hold()
	published, envelopes, err := p.record(ctx, r, &body, old, info.Root, log, v, held)
	if err != nil {
		held.drop(ctx)
		return Published{}, nil, err
	}
	p.give(r.Channel, r.Key.Public(), published.Seq, published.Hash)
	envelopes = p.withSnapshot(ctx, r.Channel, r.Key, published.Seq, envelopes)
	if len(old.files) > 0 {
		_ = p.Unpin(ctx) // what goes wrong here only keeps a blob until the next time
	}
	published.Retired = retired
	return published, envelopes, nil
}

// record stores blobs, signs, and puts the release on disk. v is there in a
// private channel, where alone body may be nil.
func (p *Publisher) record(ctx context.Context, r Release, body *channel.Body, old outdated, root channel.Root, log catalog.LogInfo, v *private, held *held) (Published, [][]byte, error) {
	m, err := p.manifest(ctx, body, v, held)
	if err != nil {
		return Published{}, nil, err
	}
	if err := p.sync(ctx); err != nil {
		return Published{}, nil, err
	}
	m.Channel, m.Root, m.Log, m.Seq = r.Channel, root.Version, r.Key.Public(), log.Seq+1
	if log.Seq > 0 {
		m.Prev = &log.Hash
	}
	// A clock that was put back must not date it before its predecessor.
	m.Issued = max(channel.TimeOf(p.cfg.Now()), log.Issued, old.after)
	if v != nil {
		if err := v.seal(&m); err != nil {
			return Published{}, nil, err
		}
	}
	env, err := m.Sign(r.Key)
	if err != nil {
		return Published{}, nil, err
	}
	head := p.head(root, m.Log, m.Seq, env.Hash(), m.Issued)
	head.Channel, head.Mirrors, head.Epoch = r.Channel, r.Mirrors, m.Epoch
	headEnv, err := head.Sign(r.Key)
	if err != nil {
		return Published{}, nil, err
	}
	envelopes, err := encodeAll(env, headEnv)
	if err != nil {
		return Published{}, nil, err
	}
	add := catalog.Addition{Channel: r.Channel, Unpin: old.files}
	if v != nil {
		add.Private = &catalog.Private{Channel: r.Channel, Key: v.key, Body: body, Members: v.members}
	} else if m.BodyRef != nil {
		add.Body = body
	}
	if err := p.cfg.Ledger.AppendRelease(ctx, add, envelopes...); err != nil {
		return Published{}, nil, fmt.Errorf("recording release %d: %w", m.Seq, err)
	}
	out := Published{Channel: r.Channel, Seq: m.Seq, Hash: env.Hash(), Blobs: len(held.ids)}
	if body != nil {
		for _, e := range body.Entries {
			out.Bytes += e.Size
		}
	}
	return out, envelopes, nil
}

// manifest stores and holds all blobs of a release and returns the manifest
// without its place in a log, to which a body that is to be sealed is bound: it
// is left in v.
func (p *Publisher) manifest(ctx context.Context, body *channel.Body, v *private, held *held) (channel.Manifest, error) {
	m := channel.Manifest{Format: 1}
	if body != nil {
		if err := p.place(ctx, &m, body, held); err != nil {
			return m, err
		}
	}
	if v != nil {
		v.body = channel.SealedBody{Body: m.Body, BodyRef: m.BodyRef}
		m.Body, m.BodyRef = nil, nil
		if err := v.store(ctx, held); err != nil {
			return m, err
		}
	}
	if len(held.ids) > 0 {
		id, err := codec.EncodeInventory(ctx, p.cfg.Blobs, held.ids)
		if err == nil {
			err = evicted(held.add(ctx, codec.InventoryBlobs(ctx, p.cfg.Blobs, id)))
		}
		if err != nil {
			return m, fmt.Errorf("storing the release's inventory: %w", err)
		}
		m.Inventory = &id
	}
	return m, nil
}

// place holds the blobs of the body's files and puts the body into the manifest,
// or into a blob if it is too large.
func (p *Publisher) place(ctx context.Context, m *channel.Manifest, body *channel.Body, held *held) error {
	if err := held.files(ctx, body.Entries); err != nil {
		return err
	}
	data, err := channel.EncodeBody(*body)
	if err != nil {
		return err
	}
	m.Body = body
	if len(data) <= channel.MaxInlineBody {
		return nil
	}
	ref, err := codec.SealTo(ctx, p.cfg.Blobs, data, nil)
	if err != nil {
		return fmt.Errorf("storing the release's body: %w", err)
	}
	m.Body, m.BodyRef = nil, &ref
	if err := held.add(ctx, one(ref.ID)); err != nil {
		return fmt.Errorf("storing the release's body: %w", evicted(err))
	}
	return nil
}

func one(id blobnet.ID) func(func(blobnet.ID, error) bool) {
	return func(yield func(blobnet.ID, error) bool) { yield(id, nil) }
}

func encodeAll(envs ...channel.Envelope) ([][]byte, error) {
	out := make([][]byte, len(envs))
	for i, env := range envs {
		var err error
		if out[i], err = channel.EncodeEnvelope(env); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *Publisher) broadcast(ctx context.Context, id channel.ID, envelopes [][]byte) error {
	if p.cfg.Broadcast == nil {
		return nil
	}
	if err := p.cfg.Broadcast(ctx, id, envelopes...); err != nil {
		return fmt.Errorf("broadcasting: %w", err)
	}
	return nil
}
