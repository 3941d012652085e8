package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

// MaxBrowsed is how many channels, and how many topics, one look at a topic shows.
const MaxBrowsed = 200

// maxTopicsRead bounds how many rows are read to find out what topics there are.
const maxTopicsRead = 100_000

// SubTopic is a topic right below another.
type SubTopic struct {
	Topic    string
	Channels int // on it or below it, each counted once for every topic that it names
}

// Browsed is a channel on a topic.
type Browsed struct {
	ID        channel.ID
	Title     string
	Reason    Reason
	Root      uint64 // version of the newest that is known
	Topics    []string
	Looks     LookAlike
	By        []string // see channel.Root.PublisherNames
	Unnamed   int
	Alike     [][]string   // see channel.Root.AlikeNames
	Seq       uint64       // of the newest release that is known of, also if only a head names it
	Issued    channel.Time // of it, or of the head that names it
	Release   string       // its title, where that is known
	Found     time.Time    // zero if it was always there
	Followers int          // that were seen at one time
	Seen      time.Time    // when; zero for never
}

// Topic is what is known of a topic.
type Topic struct {
	Topic    string     // empty for all
	Below    []SubTopic // by name
	Channels []Browsed  // on the very topic: what matters more to this node first, then what others follow, then what is known for longest
	More     bool       // there are others, of either kind
}

// Browse says what is known on a topic and right below it; with an empty one,
// which topics there are.
func (c *Catalog) Browse(ctx context.Context, topic string) (Topic, error) {
	out := Topic{Topic: topic}
	err := c.view(ctx, "reading topic", func(s *session) error {
		if err := out.readBelow(s); err != nil || topic == "" {
			return err
		}
		return out.readChannels(s, c.cfg.Now().Add(-seenFor).Unix())
	})
	return out, err
}

func (o *Topic) readBelow(s *session) error {
	prefix, end := "", "\U0010ffff"
	if o.Topic != "" {
		prefix = o.Topic + "/"
		end = after(prefix)
	}
	rows := 0
	return s.each(func(scan func(...any) error) (bool, error) {
		var topic string
		var n int
		if err := scan(&topic, &n); err != nil {
			return false, err
		}
		rows++
		level, _, _ := strings.Cut(strings.TrimPrefix(topic, prefix), "/")
		name := prefix + level
		// Topics come in the order of their bytes: "a-b" stands between "a" and
		// "a/b", so that the one before need not be the same.
		for i := len(o.Below) - 1; i >= 0; i-- {
			if o.Below[i].Topic == name {
				o.Below[i].Channels += n
				return rows < maxTopicsRead, nil
			}
			if !strings.HasPrefix(o.Below[i].Topic, name) {
				break
			}
		}
		if len(o.Below) == MaxBrowsed {
			o.More = true
			return false, nil
		}
		o.Below = append(o.Below, SubTopic{name, n})
		return rows < maxTopicsRead, nil
	}, "SELECT topic, count(*) FROM topics WHERE topic >= ? AND topic < ? GROUP BY topic ORDER BY topic", prefix, end)
}

func (o *Topic) readChannels(s *session, since int64) error {
	var numbers []int64
	err := s.each(func(scan func(...any) error) (bool, error) {
		var no int64
		err := scan(&no)
		numbers = append(numbers, no)
		return true, err
	}, `SELECT no FROM channels c LEFT JOIN places p ON p.topic = ?1 AND p.channel = c.no
		WHERE no IN (SELECT channel FROM topics WHERE topic = ?1)
		ORDER BY reason DESC, CASE WHEN seen > ?2 THEN weight ELSE 0 END DESC, coalesce(found, 0), no LIMIT ?3`, o.Topic, since, MaxBrowsed+1)
	if len(numbers) > MaxBrowsed {
		numbers, o.More = numbers[:MaxBrowsed], true
	}
	for _, no := range numbers {
		if err != nil {
			return err
		}
		var b Browsed
		b, err = browsed(s, no, o.Topic)
		o.Channels = append(o.Channels, b)
	}
	return err
}

// shownTitle is a channel's title in a query of channels; that of a private one is
// known to those who have a read key.
const shownTitle = `coalesce(nullif(title, ''), (SELECT title FROM read_keys WHERE channel = id AND title <> '' ORDER BY epoch DESC LIMIT 1))`

func browsed(s *session, no int64, topic string) (Browsed, error) {
	var b Browsed
	var title, topics sql.NullString
	var found, seen int64
	err := s.get([]any{(*bytes32)(&b.ID), &title, &b.Reason, &b.Followers, &seen, &topics, &found}, `SELECT id, `+shownTitle+`, reason, followers, seen,
			(SELECT group_concat(topic, ' ') FROM topics WHERE channel = no),
			coalesce((SELECT found FROM places WHERE topic = ?2 AND channel = no), 0)
		FROM channels WHERE no = ?1`, no, topic)
	if err != nil {
		return b, err
	}
	b.Title, b.Topics = title.String, strings.Fields(topics.String)
	if seen > 0 {
		b.Seen = time.Unix(seen, 0).UTC()
	}
	if found > 0 {
		b.Found = time.Unix(found, 0).UTC()
	}
	if b.Looks, err = looksLike(s, no); err != nil {
		return b, err
	}
	state, _, err := loadState(s, no, b.ID)
	if err != nil {
		return b, fmt.Errorf("channel %s: %w", b.ID, err)
	}
	b.Root = state.Root.Version
	b.By, b.Unnamed = state.Root.PublisherNames()
	b.Alike = state.Root.AlikeNames()
	for _, log := range state.Logs {
		seq, issued := log.Seq, log.Issued
		if log.Claim != nil && log.Claim.Seq > seq {
			seq, issued = log.Claim.Seq, log.Claim.Issued
		}
		if issued > b.Issued {
			b.Seq, b.Issued = seq, issued
		}
	}
	err = s.get([]any{&b.Release}, "SELECT title FROM releases WHERE position = (SELECT max(position) FROM manifests WHERE channel = ?)", no)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return b, err
}

// LooksLike returns what each of the channels that are known looks like, for those
// that look like another.
func (c *Catalog) LooksLike(ctx context.Context) (map[channel.ID]LookAlike, error) {
	out := make(map[channel.ID]LookAlike)
	err := c.view(ctx, "comparing titles", func(s *session) error {
		numbers := make(map[int64]channel.ID)
		if err := s.each(func(scan func(...any) error) (bool, error) {
			var no int64
			var id channel.ID
			err := scan(&no, (*bytes32)(&id))
			numbers[no] = id
			return true, err
		}, `SELECT no, id FROM channels WHERE skeleton IN
			(SELECT skeleton FROM channels WHERE skeleton IS NOT NULL GROUP BY skeleton HAVING count(*) > 1)`); err != nil {
			return err
		}
		for no, id := range numbers {
			l, err := looksLike(s, no)
			if err != nil {
				return err
			}
			if !l.ID.IsZero() {
				out[id] = l
			}
		}
		return nil
	})
	return out, err
}
