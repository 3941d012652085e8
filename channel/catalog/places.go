package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

// Strangers decide what is listed, and keys cost nothing. So a topic has a bounded
// number of places, and when they are taken, somebody gives way: a channel that
// was found lately, and by whoever has named most of those, or else the one that
// the fewest were seen to follow, and of these the youngest. Neither can a flood
// push out what has been there for longer, nor can it keep out what others name.

const (
	// MaxPlaces is how many channels are listed on a topic.
	MaxPlaces = 1024

	// newcomers is which part of the places is held open for channels that have
	// been known for less than newFor.
	newcomers = 4
	newFor    = 24 * time.Hour

	// seenFor is how long it counts that a channel was seen to be followed.
	seenFor = 7 * 24 * time.Hour
)

// ErrCrowded: the topic has no place for one more channel from this source.
var ErrCrowded = errors.New("no place on the topic for one more channel")

// List takes in a channel that was found on a topic, as Listed. source names who
// said so: those that one hand may hold should be one source. What is known for
// a stronger reason needs no place, and keeps the one it has: who follows all that
// is listed shall not follow without end.
func (c *Catalog) List(ctx context.Context, id channel.ID, topic, source string) error {
	if id.IsZero() || topic == "" {
		return errors.New("listing a channel: no id, or no topic")
	}
	return c.update(ctx, "listing channel "+id.Short(), func(t *tx) error {
		p := place{topic: topic, source: source, now: t.c.cfg.Now()}
		var reason Reason
		err := t.get([]any{&p.channel, &reason}, "SELECT no, reason FROM channels WHERE id = ?", id[:])
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return t.listNew(p, id)
		case err != nil || reason > Listed:
			return err
		}
		return t.listKnown(p)
	})
}

// place is a place that is wanted.
type place struct {
	topic, source string
	channel       int64
	now           time.Time
}

func (t *tx) listNew(p place, id channel.ID) error {
	if err := t.makeRoom(p); err != nil {
		return err
	}
	var listed int
	if err := t.get([]any{&listed}, "SELECT count(*) FROM channels WHERE reason = ?", Listed); err != nil {
		return err
	}
	if listed >= t.c.cfg.MaxListed {
		// Everywhere together they are too many: the fullest topic gives one, but
		// none that has been there for longer.
		fullest := p
		err := t.get([]any{&fullest.topic}, "SELECT topic FROM places GROUP BY topic ORDER BY count(*) DESC, topic LIMIT 1")
		if errors.Is(err, sql.ErrNoRows) || err == nil && fullest.topic == p.topic {
			return fmt.Errorf("%d channels: %w", listed, ErrFull)
		}
		if err == nil {
			err = t.newcomerGivesWay(fullest)
		}
		if err != nil {
			return err
		}
	}
	if err := t.expect(id, Listed); err != nil {
		return err
	}
	if err := t.get([]any{&p.channel}, "SELECT no FROM channels WHERE id = ?", id[:]); err != nil {
		return err
	}
	return t.take(p)
}

// listKnown gives a place to a channel that has one elsewhere, if there is one to
// be had. Has it one here, it goes by the name of whoever has the fewer: naming
// others' channels among many of one's own does not drag them down.
func (t *tx) listKnown(p place) error {
	var source string
	err := t.get([]any{&source}, "SELECT source FROM places WHERE topic = ? AND channel = ?", p.topic, p.channel)
	if errors.Is(err, sql.ErrNoRows) {
		if err := t.makeRoom(p); err != nil {
			if errors.Is(err, ErrCrowded) {
				return nil
			}
			return err
		}
		return t.take(p)
	}
	if err != nil || source == p.source {
		return err
	}
	_, err = t.exec(`UPDATE places SET source = ?1 WHERE topic = ?2 AND channel = ?3 AND found > ?4
		AND (SELECT count(*) FROM places WHERE topic = ?2 AND source = ?1 AND found > ?4) + 1 <
			(SELECT count(*) FROM places WHERE topic = ?2 AND source = ?5 AND found > ?4)`,
		p.source, p.topic, p.channel, p.now.Add(-newFor).Unix(), source)
	return err
}

func (t *tx) take(p place) error {
	_, err := t.exec("INSERT INTO places (topic, channel, source, found) VALUES (?, ?, ?, ?)", p.topic, p.channel, p.source, p.now.Unix())
	return err
}

// makeRoom sees to it that the topic has a free place, or gives ErrCrowded.
func (t *tx) makeRoom(p place) error {
	var taken int
	if err := t.get([]any{&taken}, "SELECT count(*) FROM places WHERE topic = ?", p.topic); err != nil {
		return err
	}
	if taken < t.c.cfg.MaxPlaces {
		return nil
	}
	return t.giveWay(p)
}

// giveWay frees a place of the topic for a newcomer.
func (t *tx) giveWay(p place) error {
	since := p.now.Add(-newFor).Unix()
	var young int
	if err := t.get([]any{&young}, "SELECT count(*) FROM places JOIN channels ON no = channel WHERE reason = 1 AND topic = ? AND found > ?", p.topic, since); err != nil {
		return err
	}
	if young < max(1, t.c.cfg.MaxPlaces/newcomers) {
		return t.evict(p, evictOld, since, "")
	}
	return t.newcomerGivesWay(p)
}

// newcomerGivesWay frees the place of a newcomer. They share what places there are
// for them evenly among those who named them.
func (t *tx) newcomerGivesWay(p place) error {
	since := p.now.Add(-newFor).Unix()
	var most, own int
	var source string
	if err := t.get([]any{&source, &most}, `SELECT source, count(*) FROM places JOIN channels ON no = channel WHERE reason = 1 AND topic = ? AND found > ?
		GROUP BY source ORDER BY count(*) DESC, source LIMIT 1`, p.topic, since); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err := t.get([]any{&own}, "SELECT count(*) FROM places JOIN channels ON no = channel WHERE reason = 1 AND topic = ? AND found > ? AND source = ?", p.topic, since, p.source); err != nil {
		return err
	}
	if own+1 >= most { // one more would only change places
		return fmt.Errorf("on topic %s: %w", p.topic, ErrCrowded)
	}
	return t.evict(p, evictYoung, since, source)
}

const (
	evictOne = `SELECT no, id FROM places JOIN channels ON no = channel WHERE topic = ?1 AND reason = 1 AND `
	evictBy  = ` ORDER BY CASE WHEN seen > ?2 THEN weight ELSE 0 END, found DESC, no DESC LIMIT 1`

	evictOld   = evictOne + "found <= ?3 AND source >= ?4" + evictBy
	evictYoung = evictOne + "found > ?3 AND source = ?4" + evictBy
)

// evict takes the place of the channel that matters least among those that a query
// names, and forgets the channel if it has no other.
func (t *tx) evict(p place, query string, since int64, source string) error {
	var no int64
	var id channel.ID
	err := t.get([]any{&no, (*bytes32)(&id)}, query, p.topic, p.now.Add(-seenFor).Unix(), since, source)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("on topic %s: %w", p.topic, ErrCrowded)
	}
	if err != nil {
		return err
	}
	if _, err := t.exec("DELETE FROM places WHERE topic = ? AND channel = ?", p.topic, no); err != nil {
		return err
	}
	if k := t.c.cache.get(id); k != nil {
		t.c.cache.drop(k)
		delete(t.touched, k)
	}
	_, err = t.exec("DELETE FROM channels WHERE no = ? AND reason = 1 AND no NOT IN (SELECT channel FROM places)", no)
	return err
}

// Sighting is how many were seen to follow a channel at one time. Weight is what
// that says: each of them has one vote, which it shares among all that it follows.
type Sighting struct {
	Channel   channel.ID
	Followers int
	Weight    int // in sixteenths of a vote
}

// Seen remembers sightings. What nobody was seen to follow need not be said.
func (c *Catalog) Seen(ctx context.Context, all []Sighting) error {
	if len(all) == 0 {
		return nil
	}
	now := c.cfg.Now().Unix()
	return c.update(ctx, "noting followers", func(t *tx) error {
		for _, s := range all {
			if _, err := t.exec("UPDATE channels SET followers = ?, weight = ?, seen = ? WHERE id = ?", s.Followers, s.Weight, now, s.Channel[:]); err != nil {
				return err
			}
		}
		return nil
	})
}
