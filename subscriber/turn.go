package subscriber

import (
	"context"
	"errors"
	"time"

	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// waitsCheck is how often is looked whether others wait for a release that has had
// its turn.
const waitsCheck = 5 * time.Second

// errTurn: a release has had its turn, and others wait. It is met together with
// blobnet.ErrNotFound.
var errTurn = errors.New("others have their turn")

// givenUp is why no more is waited for the blobs of a release: errStalled or errTurn,
// with who was asked.
type givenUp struct {
	error
	why  error
	came bool // something of it came lately
}

func (e givenUp) Unwrap() []error { return []error{e.why, e.error} }

// endOf is err, or why attend has ended ctx, if it has.
func endOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && errors.As(cause, new(givenUp)) {
		return cause
	}
	return err
}

// brought counts what a swarm brings. What turned out to be in vain has to come once
// more before more is counted.
type brought struct {
	swarm *fetch.Swarm
	most  int64
}

func (b *brought) now() int64 {
	b.most = max(b.most, b.swarm.Brought())
	return b.most
}

// turnOf is how long a release may go on while others wait. A first look has the less,
// the more of its log have lately used up theirs; later ones take turns by log.
func (f *follower) turnOf(r catalog.Release, again bool) time.Duration {
	if again {
		return f.cfg.Turn
	}
	return f.turns.patience(r.Log, f.cfg.Turn)
}

// keepsWaiting reports whether something else waits for r.
func (f *follower) keepsWaiting(ctx context.Context, r catalog.Release, again bool) bool {
	if again && f.order.Once {
		return false
	}
	if f.othersDue(func(l lack) bool { return l.log != r.Log }) {
		return true
	}
	if again {
		return f.interrupted()
	}
	return errors.Is(f.pending(ctx, r.Position)(func(o catalog.Release) error {
		if o.Log != r.Log {
			return errWaited
		}
		return nil
	}), errWaited)
}

// othersDue reports whether it is time to look again at one of those that lack
// something.
func (f *follower) othersDue(which func(lack) bool) bool {
	now := time.Now()
	for _, l := range f.lacks.releases {
		if !l.due.After(now) && which(l) {
			return true
		}
	}
	return false
}

// tookTurn notes that a release has had its turn.
func (f *follower) tookTurn(log channel.PublicKey) {
	if f.lacks.turned == nil {
		f.lacks.turned = map[channel.PublicKey]bool{}
	}
	f.lacks.turned[log] = true
}

// bound returns a context for what a look at r asks for first. It ends when nothing
// of that came for limit, or less than leastRate while others wait, as they do where
// several are asked for. The function must be called in the end.
func (f *follower) bound(parent context.Context, r catalog.Release, limit time.Duration, several bool) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(limit)
		defer tick.Stop()
		count := brought{swarm: f.cfg.Swarm}
		for before := count.now(); ; before = count.most {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			came := count.now() - before
			slow := float64(came) < leastRate*limit.Seconds()
			if came == 0 || slow && (several || f.interrupted() || f.othersDue(func(l lack) bool { return l.position != r.Position })) {
				cancel()
				return
			}
		}
	}()
	return ctx, func() {
		cancel()
		<-done
	}
}
