//go:build linux

package netlab

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"time"
)

// pipe is one direction of a link.
type pipe struct {
	lab  *Lab
	out  func(packet)
	line chan waiting

	mu      sync.Mutex // guards what follows
	link    Link
	random  *rand.Rand
	free    time.Time // when the line has sent what was given to it
	latest  time.Time // when the last packet arrives
	waiting int       // packets in line
}

type waiting struct {
	at time.Time
	p  packet
}

// maxLine bounds the packets that are on their way; as many as 100 MB/s and
// 200 ms need.
const maxLine = 16 << 10

func newPipe(l *Lab, link Link, seed uint64, out func(packet)) *pipe {
	return &pipe{lab: l, out: out, line: make(chan waiting, maxLine), link: link, random: rand.New(rand.NewPCG(seed, 1))}
}

func (p *pipe) set(link Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link = link
}

// send gives a packet to the link; pk may be used again when it returns.
func (p *pipe) send(pk packet) {
	at, direct, ok := p.schedule(len(pk))
	switch {
	case !ok:
		p.lab.dropped.Add(1)
	case direct:
		p.out(pk)
		p.lab.passed.Add(1)
	default:
		p.line <- waiting{at, bytes.Clone(pk)} // has room: schedule counts
	}
}

// schedule says when a packet of n bytes arrives: direct means now and here,
// and ok false means never.
func (p *pipe) schedule(n int) (at time.Time, direct, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.link
	if l.Loss > 0 && p.random.Float64() < l.Loss || p.waiting == maxLine {
		return at, false, false
	}
	if l.Delay == 0 && l.Jitter == 0 && l.Rate == 0 && p.waiting == 0 {
		return at, true, true
	}
	now := time.Now()
	at = now
	if l.Rate > 0 {
		at = later(at, p.free)
		queue := l.Queue
		if queue == 0 {
			queue = max(64<<10, int(l.Rate/10))
		}
		if at.Sub(now).Seconds()*float64(l.Rate)+float64(n) > float64(queue) {
			return at, false, false
		}
		at = at.Add(time.Duration(float64(n) / float64(l.Rate) * float64(time.Second)))
		p.free = at
	}
	at = at.Add(l.Delay)
	if l.Jitter > 0 {
		at = at.Add(time.Duration(p.random.Int64N(int64(l.Jitter))))
	}
	at = later(at, p.latest)
	p.latest = at
	p.waiting++
	return at, false, true
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// run delivers packets in line until the lab is closed.
func (p *pipe) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var w waiting
		select {
		case w = <-p.line:
		case <-p.lab.ctx.Done():
			return
		}
		if wait := time.Until(w.at); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-p.lab.ctx.Done():
				return
			}
		}
		p.out(w.p)
		p.lab.passed.Add(1)
		p.mu.Lock()
		p.waiting--
		p.mu.Unlock()
	}
}
