package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// Sealed returns releases of a private channel that nobody has opened here,
// after a position, in order, as Releases does.
func (c *Catalog) Sealed(ctx context.Context, id channel.ID, after int64, limit int) ([]Release, error) {
	var out []Release
	err := c.view(ctx, "reading sealed releases", func(s *session) error {
		no, err := channelNo(s, id)
		if err == nil {
			out, err = queryReleases(s, id, limit, `SELECT position, hash, envelope, body, ref, state FROM manifests
				WHERE channel = ? AND position > ? AND state = 3 ORDER BY position`, no, after)
		}
		return err
	})
	return out, err
}

// Opened is what a sealed manifest was found to hold.
type Opened struct {
	Manifest channel.Hash
	Body     channel.SealedBody
}

// Unseal takes in what sealed manifests hold, which the caller has opened with
// Manifest.Unseal: that is what ties it to them. A release that was passed over
// sealed is news when it is opened: it gets a new position, after all others.
// What a body names without right is refused for good. What was opened before
// stays as it is.
func (c *Catalog) Unseal(ctx context.Context, id channel.ID, opened ...Opened) error {
	return c.update(ctx, "opening sealed releases", func(t *tx) error {
		k, err := t.known(id)
		if err != nil {
			return err
		}
		for _, o := range opened {
			if err := t.unseal(k, o); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) unseal(k *known, o Opened) error {
	var position int64
	var state int
	err := t.get([]any{&position, &state}, "SELECT position, state FROM manifests WHERE channel = ? AND hash = ?", k.no, o.Manifest[:])
	if errors.Is(err, sql.ErrNoRows) || err == nil && state != bodySealed {
		return nil // a new root has withdrawn it, or somebody was faster
	}
	if err != nil {
		return err
	}
	t.changed(change{k.id, feed.KindBody})
	if o.Body.Body == nil && o.Body.BodyRef == nil {
		_, err := t.exec("UPDATE manifests SET state = 4 WHERE position = ?", position)
		return err
	}
	if err := t.renew(position); err != nil {
		return err
	}
	if o.Body.BodyRef != nil {
		ref, err := dcbor.Marshal(o.Body.BodyRef)
		if err != nil {
			return fmt.Errorf("encoding a reference: %w", err)
		}
		_, err = t.exec("UPDATE manifests SET state = 1, ref = ? WHERE channel = ? AND hash = ?", ref, k.no, o.Manifest[:])
		return err
	}
	err = t.putBody(k, o.Manifest, *o.Body.Body)
	if why := refusalOf(err); why != nil {
		return t.refuse(k, o.Manifest, why.Error())
	}
	return err
}

// renew moves a sealed manifest to the end of the local order.
func (t *tx) renew(position int64) error {
	var no, log, seq int64
	var hash, envelope []byte
	if err := t.get([]any{&no, &log, &seq, &hash, &envelope}, "SELECT channel, log, seq, hash, envelope FROM manifests WHERE position = ?", position); err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM manifests WHERE position = ?", position); err != nil {
		return err
	}
	// What blind mirrors left out is judged anew, now that it can be read.
	if _, err := t.exec("DELETE FROM passed WHERE channel = (SELECT id FROM channels WHERE no = ?) AND position = ?", no, position); err != nil {
		return err
	}
	now, err := t.insert("INSERT INTO manifests (channel, log, seq, hash, envelope, state) VALUES (?, ?, ?, ?, ?, ?)", no, log, seq, hash, envelope, bodySealed)
	if err != nil {
		return err
	}
	_, err = t.exec("UPDATE dead SET position = ? WHERE log = ? AND seq = ?", now, log, seq)
	return err
}

// Private is what is recorded beside the envelopes of one's own private channel.
type Private struct {
	Channel channel.ID
	Key     ReadKey          // that the release is sealed under, with its keyring
	Body    *channel.Body    // what it says; nil for nothing
	Members []channel.Member // from now on; not looked at unless Key.Keyring is new to it
}

// FoundPrivate is Found of a private channel with its first read key, and no members.
func (c *Catalog) FoundPrivate(ctx context.Context, own Own, key ReadKey, envelopes ...[]byte) error {
	return c.update(ctx, "founding a channel", func(t *tx) error {
		if err := t.append(envelopes, nil); err != nil {
			return err
		}
		if err := t.learn(own.Channel, key); err != nil {
			return err
		}
		if err := t.listMembersOf(own.Channel, key.Epoch); err != nil {
			return err
		}
		return t.addOwn(own)
	})
}

// addPrivate stores what the sealed manifest among envelopes holds, the key that it
// is sealed under, and the members.
func (t *tx) addPrivate(p Private, envelopes [][]byte) error {
	if err := t.learn(p.Channel, p.Key); err != nil {
		return err
	}
	if p.Members != nil {
		if err := t.setMembers(p.Channel, p.Key.Epoch, p.Members); err != nil {
			return err
		}
	}
	k, err := t.known(p.Channel)
	if err != nil {
		return err
	}
	for _, data := range envelopes {
		env, err := channel.DecodeEnvelope(data)
		if err != nil {
			return err
		}
		if env.Type != channel.TypeManifest {
			continue
		}
		if p.Body != nil {
			err = t.putBody(k, env.Hash(), *p.Body)
		} else {
			err = t.unseal(k, Opened{Manifest: env.Hash()})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
