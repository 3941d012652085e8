package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// Release is an accepted manifest at its place in the local order.
type Release struct {
	// Position grows with every release that this catalogue accepts, over all
	// channels, and is never used twice. A log's releases ascend by Seq, but for
	// sealed ones that were opened late, and for what a snapshot listed and came late.
	Position int64
	Channel  channel.ID
	Log      channel.PublicKey
	Seq      uint64
	Hash     channel.Hash
	Manifest channel.Manifest

	// Body is what the release says. It is nil while the body lies in a blob
	// (Ref) that nobody has given to PutBody, while it is sealed, and for ever
	// in a Silent one.
	Body *channel.Body

	// Ref is where the body lies when it lies in a blob: the manifest's BodyRef,
	// or what was sealed in it.
	Ref *codec.Ref

	// Silent: it was opened, and says nothing; it is there for its keyring.
	Silent bool
}

// How much one call of Releases returns at most.
const (
	releaseLimit = 256
	releaseBytes = 8 << 20
)

// Releases returns releases of a channel after a position, in order, at most
// limit of them (256 if limit is not positive) and fewer where they are large:
// go on after the last one's position until none come. Refused ones are left
// out.
func (c *Catalog) Releases(ctx context.Context, id channel.ID, after int64, limit int) ([]Release, error) {
	var out []Release
	err := c.view(ctx, "reading releases", func(s *session) error {
		no, err := channelNo(s, id)
		if err == nil {
			out, err = releasesAfter(s, id, no, after, limit)
		}
		return err
	})
	return out, err
}

// MissingBodies returns releases whose body somebody has to fetch, in order,
// at most limit of them (256 if limit is not positive).
func (c *Catalog) MissingBodies(ctx context.Context, id channel.ID, limit int) ([]Release, error) {
	var out []Release
	err := c.view(ctx, "reading missing bodies", func(s *session) error {
		no, err := channelNo(s, id)
		if err == nil {
			out, err = queryReleases(s, id, limit, `SELECT position, hash, envelope, body, ref, state FROM manifests
				WHERE channel = ? AND state = 1 ORDER BY position`, no)
		}
		return err
	})
	return out, err
}

func releasesAfter(s *session, id channel.ID, no, after int64, limit int) ([]Release, error) {
	return queryReleases(s, id, limit, `SELECT position, hash, envelope, body, ref, state FROM manifests
		WHERE channel = ? AND position > ? AND state <> 2 ORDER BY position`, no, after)
}

func queryReleases(s *session, id channel.ID, limit int, text string, args ...any) ([]Release, error) {
	if limit <= 0 || limit > releaseLimit {
		limit = releaseLimit
	}
	var out []Release
	size := 0
	err := s.each(func(scan func(...any) error) (bool, error) {
		var envelope, body, ref []byte
		var state int
		r := Release{Channel: id}
		if err := scan(&r.Position, (*bytes32)(&r.Hash), &envelope, &body, &ref, &state); err != nil {
			return false, err
		}
		r.Silent = state == bodyNone
		if err := r.decode(envelope, body); err != nil {
			return false, err
		}
		if ref != nil {
			r.Ref = new(codec.Ref)
			if err := dcbor.Unmarshal(ref, r.Ref); err != nil {
				return false, fmt.Errorf("%w: where the body of manifest %s lies: %w", errDamaged, r.Hash, err)
			}
		}
		out = append(out, r)
		size += len(envelope) + len(body)
		return len(out) < limit && size < releaseBytes, nil
	}, text, args...)
	return out, err
}

func (r *Release) decode(envelope, body []byte) error {
	env, err := channel.DecodeEnvelope(envelope)
	if err == nil {
		r.Manifest, err = channel.OpenManifest(env)
	}
	if err != nil {
		return fmt.Errorf("%w: manifest %s: %w", errDamaged, r.Hash, err)
	}
	r.Log, r.Seq, r.Body, r.Ref = r.Manifest.Log, r.Manifest.Seq, r.Manifest.Body, r.Manifest.BodyRef
	if body != nil {
		b, err := channel.DecodeBody(body)
		if err != nil {
			return fmt.Errorf("%w: body of manifest %s: %w", errDamaged, r.Hash, err)
		}
		r.Body = &b
	}
	return nil
}

// PutBody stores the body of a release, which the caller has opened through
// the release's Ref: that is what ties it to the manifest. A body that
// names what its key may not, or is not well formed, makes the release refused
// for good: the error wraps ErrRefused and the reason. Putting it again does
// nothing.
func (c *Catalog) PutBody(ctx context.Context, id channel.ID, manifest channel.Hash, body channel.Body) error {
	var refusal error
	err := c.update(ctx, "storing a release's body", func(t *tx) error {
		k, err := t.known(id)
		if err != nil {
			return err
		}
		err = t.putBody(k, manifest, body)
		if why := refusalOf(err); why != nil {
			refusal = fmt.Errorf("body of manifest %s: %w: %w", manifest, ErrRefused, why)
			return t.refuse(k, manifest, why.Error())
		}
		return err
	})
	return errors.Join(err, refusal)
}

// refusalOf tells a body that is at fault from trouble of our own.
func refusalOf(err error) error {
	if errors.Is(err, errDamaged) {
		return nil
	}
	for _, sentinel := range []error{channel.ErrNotAuthorized, channel.ErrMalformed, channel.ErrLimit, channel.ErrTooLarge, channel.ErrName} {
		if errors.Is(err, sentinel) {
			return err
		}
	}
	return nil
}

// RefuseBody marks a release whose blob or seal opens but holds no valid body, so that
// it is skipped from then on instead of being tried for ever.
func (c *Catalog) RefuseBody(ctx context.Context, id channel.ID, manifest channel.Hash, why string) error {
	return c.update(ctx, "refusing a release's body", func(t *tx) error {
		k, err := t.known(id)
		if err != nil {
			return err
		}
		return t.refuse(k, manifest, why)
	})
}

func (t *tx) refuse(k *known, manifest channel.Hash, why string) error {
	n, err := t.exec("UPDATE manifests SET state = 2, refusal = ? WHERE channel = ? AND hash = ? AND state IN (1, 2, 3)", why, k.no, manifest[:])
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("manifest %s with a missing body: %w", manifest, ErrUnknown)
	}
	t.changed(change{k.id, feed.KindBody})
	return nil
}

func (t *tx) putBody(k *known, manifest channel.Hash, body channel.Body) error {
	var position int64
	var state int
	var envelope []byte
	var refusal sql.NullString
	err := t.get([]any{&position, &state, &envelope, &refusal}, `SELECT position, state, envelope, refusal FROM manifests
		WHERE channel = ? AND hash = ?`, k.no, manifest[:])
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("manifest %s: %w", manifest, ErrUnknown)
	case err != nil:
		return err
	case state == bodyHere:
		return nil
	case state == bodyRefused:
		return fmt.Errorf("manifest %s (%s): %w", manifest, refusal.String, ErrRefused)
	}
	r := Release{Hash: manifest}
	if err := r.decode(envelope, nil); err != nil {
		return err
	}
	data, err := channel.EncodeBody(body)
	if err != nil {
		return err
	}
	rootEnvelope, err := past{t, k}.RootAt(r.Manifest.Root)
	if err != nil {
		return err
	}
	root, _, err := storedRoot(rootEnvelope)
	if err != nil {
		return err
	}
	if err := root.Authorize(r.Log, body); err != nil {
		return err
	}
	if _, err := t.exec("UPDATE manifests SET state = 0, body = ? WHERE position = ?", data, position); err != nil {
		return err
	}
	t.changed(change{k.id, feed.KindBody})
	return t.apply(k.no, position, &r.Manifest, &body)
}
