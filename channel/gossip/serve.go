package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// cost is what it takes to answer, in look-ups of a channel, roughly.
func (r request) cost() int {
	switch r.Kind {
	case askListing:
		return 32
	case knock:
		return 16
	case askHeads:
		return 1 + len(r.Keys)/8
	case askSnapshot:
		return 1 + int(r.To-r.From)/8
	case askReconcile:
		if r.Question.Salt != nil {
			return reconcileCost
		}
		return 1 + len(r.Question.Ranges)/8
	}
	return 1
}

// server answers requests of the sync protocol. It says nothing about a
// channel that the Ledger does not know, not even that it does not know it.
type server struct {
	ledger   Ledger
	topicOf  func(context.Context, channel.Hash) (string, bool)
	hidden   func(catalog.Info) bool // channels that are told to nobody; nil for none
	knocked  func(channel.ID)        // the other end has more of the channel than we
	mirror   *mirror                 // answers reconciliation; nil: declines
	patience time.Duration
	waits    func() // if not nil, called when an answer is complete
}

// serve answers the requests on c, in their order, until the other end closes
// its side, breaks a rule, or is idle for twice the patience; the first request
// has to come sooner, since whoever opens a stream has something to ask. before
// is called ahead of every answer with what it costs, and may wait.
func (s *server) serve(ctx context.Context, c conn, before func(ctx context.Context, cost int) error) error {
	for n := range maxRequests {
		patience := 2 * s.patience
		if n == 0 {
			patience = min(patience, firstWait)
		}
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return fmt.Errorf("waiting for a request: %w", err)
		}
		data, err := readFrame(c, maxRequest)
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("waiting for a request: %w", err)
		}
		r, err := decodeRequest(data)
		if err != nil {
			return err
		}
		if err := before(ctx, r.cost()); err != nil {
			return err
		}
		if err := s.answer(ctx, c, r); err != nil {
			return fmt.Errorf("answering request of kind %d: %w", r.Kind, err)
		}
		if s.waits != nil {
			s.waits()
		}
	}
	return fmt.Errorf("more than %d requests on one stream: %w", maxRequests, channel.ErrLimit)
}

func (s *server) answer(ctx context.Context, c conn, r request) error {
	if r.Kind != askReconcile {
		s.mirror.close()
	}
	switch r.Kind {
	case askHeads:
		return s.heads(ctx, c, r)
	case askListing:
		return s.listing(ctx, c, r)
	case knock:
		return s.knocks(ctx, c, r)
	case askSnapshot:
		return s.snapshot(ctx, c, r)
	case askLive:
		return s.live(ctx, c, r)
	case askReconcile:
		t, err := s.mirror.answer(ctx, r.Question)
		if err != nil {
			return err
		}
		return writeFrame(c, t, maxFrame, s.patience)
	default:
		return s.items(ctx, c, r)
	}
}

// heads tells for every channel asked for that is known here how far it goes.
func (s *server) heads(ctx context.Context, c conn, r request) error {
	return s.sections(c, func(yield func(section, error) bool) {
		for _, key := range r.Keys {
			sec, err := s.state(ctx, key)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if !yield(sec, err) {
				return
			}
		}
	})
}

// state is a channel's newest root version, how far each log goes, the heads,
// and proofs of forks. It gives fs.ErrNotExist where no root is here.
func (s *server) state(ctx context.Context, key channel.Hash) (section, error) {
	info, err := s.lookup(ctx, key)
	if err != nil {
		return section{}, err
	}
	if !info.HasRoot {
		return section{}, fs.ErrNotExist
	}
	sec := section{Key: key, Root: info.Root.Version, Hash: &info.RootHash}
	for _, l := range info.Logs {
		if l.Seq > 0 && len(sec.Logs) < maxLogs {
			sec.Logs = append(sec.Logs, logState{Log: l.Log, Seq: l.Seq, Hash: l.Hash, Epoch: l.Epoch, Snapshot: l.Snapshot})
		}
	}
	heads, err := s.ledger.Heads(ctx, info.ID)
	if err != nil {
		return section{}, err
	}
	sec.Items = heads[:min(len(heads), MaxItems)]
	for sec.size() > MaxAnswer {
		sec.Items = sec.Items[:len(sec.Items)-1]
	}
	if info.Forked {
		if err := s.forks(ctx, info.ID, &sec); err != nil {
			return section{}, err
		}
	}
	return sec, nil
}

// knocks passes on who has more than we, and answers nothing.
func (s *server) knocks(ctx context.Context, c conn, r request) error {
	for _, key := range r.Keys {
		id, err := s.ledger.ByDiscovery(ctx, key)
		if err == nil {
			s.knocked(id)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.write(c, answer{})
}

// forks adds the proofs of forks that fit.
func (s *server) forks(ctx context.Context, id channel.ID, sec *section) error {
	forks, err := s.ledger.Forks(ctx, id)
	if err != nil {
		return err
	}
	for _, f := range forks {
		size := len(f.A) + len(f.B) + 16
		if len(sec.Forks) < maxForks && size <= maxProof && sec.size()+size <= MaxAnswer {
			sec.Forks = append(sec.Forks, fork{A: f.A, B: f.B})
		}
	}
	return nil
}

// listing tells which channels are on a topic. If there are more than
// MaxListed, it is a random choice, so that who asks often learns of all.
func (s *server) listing(ctx context.Context, c conn, r request) error {
	topic, ok := s.topicOf(ctx, r.Keys[0])
	if !ok {
		return s.write(c, answer{})
	}
	ids, err := s.ledger.SomeOn(ctx, topic, MaxListed)
	if err != nil {
		return err
	}
	return s.sections(c, func(yield func(section, error) bool) {
		for _, id := range ids {
			if ok, err := s.shows(ctx, id); !ok && err == nil {
				continue
			}
			sec, ok, err := listing(ctx, s.ledger, id, topic)
			if (ok || err != nil) && !yield(sec, err) {
				return
			}
		}
	})
}

// sections writes sections in as few frames as fit, and holds no more of them
// in memory than one frame and the section after it.
func (s *server) sections(c conn, all iter.Seq2[section, error]) error {
	var frame []section
	items, size := 0, 0
	for sec, err := range all {
		if err != nil {
			return err
		}
		if len(frame) > 0 && (items+len(sec.Items) > MaxItems || size+sec.size() > MaxAnswer) {
			if err := s.write(c, answer{Sections: frame, More: true}); err != nil {
				return err
			}
			frame, items, size = nil, 0, 0
		}
		frame, items, size = append(frame, sec), items+len(sec.Items), size+sec.size()
	}
	return s.write(c, answer{Sections: frame})
}

// items answers a request for roots or manifests with as many frames as it
// takes, until the range is complete or we have no more.
func (s *server) items(ctx context.Context, c conn, r request) error {
	info, err := s.lookup(ctx, r.Keys[0])
	known := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for next := r.From; ; {
		var items [][]byte
		most := int(min(r.To-next+1, MaxItems))
		if known && r.Kind == askRoots {
			items, err = s.ledger.Roots(ctx, info.ID, next, most, MaxAnswer)
		} else if known {
			items, err = s.ledger.Manifests(ctx, info.ID, *r.Log, next, r.To, most, MaxAnswer)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		items = items[:min(len(items), most)]
		next += uint64(len(items))
		a := answer{More: len(items) > 0 && next <= r.To}
		if len(items) > 0 {
			a.Sections = []section{{Key: r.Keys[0], Items: items}}
		}
		if err := s.write(c, a); err != nil || !a.More {
			return err
		}
	}
}

func (s *server) lookup(ctx context.Context, key channel.Hash) (catalog.Info, error) {
	id, err := s.ledger.ByDiscovery(ctx, key)
	if err != nil {
		return catalog.Info{}, err
	}
	info, err := s.ledger.Channel(ctx, id)
	if err == nil && s.hidden != nil && s.hidden(info) {
		err = fs.ErrNotExist
	}
	return info, err
}

func (s *server) write(c conn, a answer) error { return writeFrame(c, a, maxFrame, s.patience) }
