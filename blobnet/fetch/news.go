package fetch

import (
	"context"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

const (
	// What was stored is told every tellEvery, at most maxNews blobs at a time.
	tellEvery = 100 * time.Millisecond
	maxNews   = 1024
	// A peer that tells what it gets is asked what it has every toldPoll alone.
	toldPoll = 5 * time.Second
)

// Announcer is a Peer that can be told, unasked, that ids can be had here. It is
// free to ignore it.
type Announcer interface {
	Announce(ctx context.Context, ids []blobnet.ID) error
}

// kept takes note of a blob that was stored: those who get the same are told soon,
// while an Each runs. s.mu is held.
func (s *Swarm) kept(id blobnet.ID, now time.Time) {
	if !s.shuffle || len(s.walks) == 0 || len(s.news) >= maxNews {
		return
	}
	if s.news = append(s.news, id); len(s.news) == 1 {
		s.tell = now.Add(tellEvery)
		for w := range s.walks {
			w.kick()
		}
	}
}

// spread begins to tell what is new, if it is time for that, and returns when it
// will be. s.mu is held.
func (p *poller) spread(ctx context.Context, now time.Time) (next time.Duration) {
	s := p.s
	if len(s.news) == 0 {
		return mostPoll
	}
	if wait := s.tell.Sub(now); wait > 0 {
		return wait
	}
	ids := s.news
	s.news = nil
	var to []*member
	for _, m := range s.members {
		if m.teller != nil && m.partial && m.rival(now) && !m.telling {
			m.telling = true
			to = append(to, m)
		}
	}
	if len(to) > 0 {
		p.work.Go(func() { p.announce(ctx, ids, to) })
	}
	return mostPoll
}

// announce tells those of ids that are there by now. The others are news still.
func (p *poller) announce(ctx context.Context, ids []blobnet.ID, to []*member) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	s := p.s
	has, err := s.cfg.Store.Has(ctx, ids...)
	var there, later []blobnet.ID
	for i, id := range ids {
		if err == nil && has[i] {
			there = append(there, id)
		} else {
			later = append(later, id)
		}
	}
	for _, m := range to {
		p.work.Go(func() {
			if len(there) > 0 {
				_ = m.teller.Announce(ctx, there) // who does not hear it asks
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			m.telling = false
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range later {
		s.kept(id, time.Now())
	}
}
