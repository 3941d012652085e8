package fetch

import "time"

const (
	// What may be asked of a peer at a time: firstWindow at first, then what
	// rate and round trip call for, at least leastWindow while it is not slow.
	firstWindow, leastWindow = 2 << 20, 2 << 20
	// serving is how long a peer may need, beside the round trip, before the
	// next blob is on its way: the disk, the processor, others that it serves.
	serving = 10 * time.Millisecond
	// What is asked of a peer should be there in some seconds: one whose blobs
	// take longer than slowBlob has its window halved.
	slowBlob = 4 * time.Second
	// Of a peer of which nothing is known this is expected.
	likelyRate = 4 << 20 // bytes/s
	likelyRTT  = 50 * time.Millisecond
	// A peer that gave nothing for stallFactor times as long as expected, and
	// at least leastStall, stalls: it is asked for nothing more.
	stallFactor = 4
	leastStall  = 2 * time.Second
	// maxRequests is how many requests one peer has at a time.
	maxRequests = 192
)

// pace is how fast a peer gives, and what may be asked of it. It is guarded by
// the Swarm's mutex.
type pace struct {
	limit  int // the largest window
	window int // bytes that may be asked for now
	out    int // bytes that are asked for
	open   int // requests that are asked

	rate      float64       // bytes/s; 0: not known
	rtt       time.Duration // the least time to an answer, of late; 0: not known
	delivered int64         // bytes, ever
	progress  time.Time     // when something came last, or was asked for while nothing was
}

// request is what pace has to know of one request until it is over.
type request struct {
	size      int
	begun     time.Time
	ahead     int           // bytes asked for before it
	delivered int64         // by then
	expected  time.Duration // to its end
}

// ask takes note of a request for size bytes.
func (p *pace) ask(size int, now time.Time, guess float64) request {
	r := request{size: size, begun: now, ahead: p.out, delivered: p.delivered, expected: p.estimate(size, now, guess)}
	if p.out == 0 {
		p.progress = now
	}
	p.out += size
	p.open++
	return r
}

// over takes note that r has ended somehow.
func (p *pace) over(r request) {
	p.out -= r.size
	p.open--
}

// came takes note, after over, that r brought n bytes. rivals is how many others
// get the same from the peer: what many have asked for at once, none of them can
// tell the others that it has.
func (p *pace) came(r request, n int, now time.Time, rivals int) {
	p.delivered += int64(n)
	p.progress = now
	took := max(now.Sub(r.begun), time.Microsecond)
	sample := float64(p.delivered-r.delivered) / took.Seconds()
	switch {
	case p.rate == 0 || r.ahead == 0 && sample > p.rate:
		p.rate = sample
	case r.ahead > 0 || took > 2*r.expected: // else it was idle before, and its rate is not seen
		p.rate += (sample - p.rate) / 4
	}
	if trip := took - seconds(float64(n)/p.rate); r.ahead == 0 && trip > took/8 {
		p.answered(trip)
	}
	want := int(min(2*p.rate*(p.trip()+serving).Seconds(), float64(p.limit)))
	want = min(want+max(leastWindow, 2*n)/(1+rivals), p.limit)
	switch {
	case took > slowBlob:
		p.window = max(p.window/2, 1)
	case want >= p.window:
		p.window = min(2*p.window, want)
	default:
		p.window -= (p.window - want) / 2
	}
}

// answered takes note of the time to an answer that waited behind no blob.
func (p *pace) answered(took time.Duration) {
	took = max(took, time.Microsecond)
	if p.rtt == 0 {
		p.rtt = took
	}
	p.rtt = min(p.rtt+p.rtt/64+1, took) // the way may have become longer
}

// lost takes note, after over, that r was given up at now: if nothing came
// since it was made, the peer is not faster than that.
func (p *pace) lost(r request, now time.Time) {
	took := now.Sub(r.begun)
	if p.delivered > r.delivered || took < 2*p.trip() {
		return
	}
	if most := float64(r.ahead+r.size) / took.Seconds(); p.rate == 0 || p.rate > most {
		p.rate = most
	}
}

// shrink makes the window smaller, as after a failure.
func (p *pace) shrink() { p.window = max(p.window/2, 1) }

// measured reports whether the rate is known.
func (p *pace) measured() bool { return p.rate > 0 }

// speed is the rate in bytes/s as far as now can be told: guess if it is not
// known, and not more than what is due and has not come allows.
func (p *pace) speed(now time.Time, guess float64) float64 {
	rate := p.rate
	if rate == 0 {
		rate = guess
	}
	if p.open > 0 {
		mean := float64(p.out) / float64(p.open)
		if idle := now.Sub(p.progress) - 2*p.trip(); idle > 0 {
			rate = min(rate, 2*mean/idle.Seconds())
		}
	}
	return max(rate, 1)
}

func (p *pace) trip() time.Duration {
	if p.rtt == 0 {
		return likelyRTT
	}
	return p.rtt
}

// estimate is how long size bytes more would take from now on.
func (p *pace) estimate(size int, now time.Time, guess float64) time.Duration {
	return min(seconds(float64(p.out+size)/p.speed(now, guess)), time.Hour) + p.trip()
}

func seconds(s float64) time.Duration {
	return time.Duration(min(s, 1e6) * float64(time.Second))
}

// stalled reports whether the peer owes something and has given nothing for too
// long.
func (p *pace) stalled(now time.Time) bool {
	if p.open == 0 {
		return false
	}
	patience := leastStall
	if p.rate > 0 {
		head := seconds(float64(p.out) / float64(p.open) / p.rate)
		patience = max(patience, stallFactor*(head+p.trip()))
	}
	return now.Sub(p.progress) > patience
}

// free reports whether more may be asked for: the window has room, though maybe
// not for the whole of the next blob.
func (p *pace) free() bool {
	return p.out == 0 || p.open < maxRequests && p.out < p.window
}
