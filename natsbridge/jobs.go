package natsbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/anonymous-media-library/aml/channel"
)

// The rules of the queue.
const (
	// JobWait is how long a member has for a job before another one is given it.
	// Progress begins it anew.
	JobWait = 30 * time.Second

	// MaxDeliveries is how often a job is given out before it is a dead letter.
	MaxDeliveries = 5

	// MaxJob bounds the payload of a job.
	MaxJob = 64 << 10
)

var (
	// ErrNoJob: nothing is to be done at the moment.
	ErrNoJob = errors.New("no job is waiting")

	// ErrNoLetter: there is no dead letter of that kind and id. It wraps
	// fs.ErrNotExist.
	ErrNoLetter = notFound("no such dead letter")

	// ErrNoQueue: nobody has made one yet. It wraps fs.ErrNotExist.
	ErrNoQueue = notFound("there is no queue of jobs: the members of a group make it (aml mirror --group)")

	// ErrQueued: this very job waits already, or somebody is at it.
	ErrQueued = errors.New("job is queued already")
)

type notFound string

func (e notFound) Error() string      { return string(e) }
func (notFound) Is(target error) bool { return target == fs.ErrNotExist }

// Job is work for one member of a group: its kind, such as fetch, and an id that
// tells it from others of the kind, such as a hash. While a job waits, or somebody
// is at it, there is no second one of the same kind and id.
type Job struct {
	Kind    string // 1 to 32 of a-z, 0-9, - and _
	ID      string // 1 to 128 of the same
	Payload []byte // at most MaxJob
}

func (j Job) validate() error {
	if !validToken(j.Kind, 32) || !validToken(j.ID, 128) {
		return fmt.Errorf("job %.40q of kind %.40q: want 1 to 128, and 1 to 32, of a-z, 0-9, - and _: %w", j.ID, j.Kind, channel.ErrMalformed)
	}
	if len(j.Payload) > MaxJob {
		return fmt.Errorf("job %s of %d bytes: %w", j.ID, len(j.Payload), channel.ErrTooLarge)
	}
	return nil
}

func validToken(s string, most int) bool {
	return s != "" && len(s) <= most && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// Jobs is the work queue of a network, that all its members share. Its methods
// may be called from many goroutines.
type Jobs struct {
	c     *Conn
	queue jetstream.Stream
	dead  jetstream.Stream
}

// Jobs opens the queue, and makes it, with so many replicas, if there is none; with 0 it
// makes nothing, and what is not there is empty. That it answers says more than Connected:
// a connection may be dead for a minute before that is noticed, and lead to a server that
// is cut off from the rest of its cluster.
func (c *Conn) Jobs(ctx context.Context, replicas int) (*Jobs, error) {
	q, err := ensure(ctx, c.js, c.names.jobs(replicas), replicas > 0)
	if err != nil && (replicas > 0 || !errors.Is(err, jetstream.ErrStreamNotFound)) {
		return nil, c.why(err)
	}
	d, err := ensure(ctx, c.js, c.names.dead(replicas), replicas > 0)
	if err != nil && (replicas > 0 || !errors.Is(err, jetstream.ErrStreamNotFound)) {
		return nil, c.why(err)
	}
	return &Jobs{c: c, queue: q, dead: d}, nil
}

// Fewer says, with the remedy, which streams of an open queue have fewer replicas than
// that: who was there first has made them so.
func (j *Jobs) Fewer(replicas int) (out []string) {
	for _, s := range []jetstream.Stream{j.queue, j.dead} {
		if c := s.CachedInfo().Config; c.Replicas < replicas {
			out = append(out, fmt.Sprintf("stream %s is there already, with %d of %d replicas; change that with `nats stream edit %s --replicas %d`", c.Name, c.Replicas, replicas, c.Name, replicas))
		}
	}
	return out
}

func (n names) job(kind, of, id string) string { return n.prefix + kind + "." + of + "." + id }

// Declare puts a job into the queue. ErrQueued says that it is there. It has no
// message id: that of a finished job must not keep the next one out.
func (j *Jobs) Declare(ctx context.Context, job Job) error {
	if err := job.validate(); err != nil {
		return err
	}
	if j.queue == nil {
		return ErrNoQueue
	}
	m := &nats.Msg{Subject: j.c.names.job(kindJob, job.Kind, job.ID), Data: job.Payload, Header: nats.Header{}}
	m.Header.Set(headerTrace, nextTrace(""))
	_, err := j.c.js.PublishMsg(ctx, m, jetstream.WithExpectStream(j.queue.CachedInfo().Config.Name))
	if taken(err) {
		return fmt.Errorf("%s %s: %w", job.Kind, job.ID, ErrQueued)
	}
	if err != nil {
		return explain(fmt.Errorf("declaring job %s %s: %w", job.Kind, job.ID, err))
	}
	return nil
}

// Task is a job that this member has been given. It ends with Done, Retry or
// Bury; without any of them, and without Progress, another member gets it after
// JobWait.
type Task struct {
	Job
	Delivery int // how often it was given out, this time included

	jobs *Jobs
	msg  jetstream.Msg
}

// Take waits for a job of the kind, at most that long, or gives ErrNoJob. Jobs
// that were given out too often become dead letters on the way.
func (j *Jobs) Take(ctx context.Context, kind string, wait time.Duration) (*Task, error) {
	if !validToken(kind, 32) {
		return nil, fmt.Errorf("kind of jobs %.40q: %w", kind, channel.ErrMalformed)
	}
	if j.queue == nil {
		return nil, ErrNoQueue
	}
	cons, err := j.queue.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "aml-" + kind, FilterSubject: j.c.names.job(kindJob, kind, "*"), AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: JobWait, MaxDeliver: -1, MaxAckPending: 4096,
	})
	if err != nil {
		return nil, explain(fmt.Errorf("taking jobs of kind %s: %w", kind, err))
	}
	for end := time.Now().Add(wait); ; {
		left := max(time.Until(end), 100*time.Millisecond) // the server takes no less
		limited, cancel := context.WithTimeout(ctx, min(left, JobWait))
		m, err := cons.Next(jetstream.FetchContext(limited))
		cancel()
		if err == nil {
			t, err := j.task(ctx, kind, m)
			if t != nil || err != nil {
				return t, err
			}
			continue
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, jetstream.ErrNoMessages) && !errors.Is(err, context.DeadlineExceeded) {
			return nil, explain(fmt.Errorf("taking a job of kind %s: %w", kind, err))
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("kind %s: %w", kind, ErrNoJob)
		}
	}
}

// task makes one of a message; nil of one that cannot be done.
func (j *Jobs) task(ctx context.Context, kind string, m jetstream.Msg) (*Task, error) {
	_, delivered := place(m)
	t := &Task{Delivery: int(delivered), jobs: j, msg: m}
	t.Kind, t.ID, t.Payload = kind, strings.TrimPrefix(m.Subject(), j.c.names.job(kindJob, kind, "")), m.Data()
	if t.Job.validate() != nil {
		return nil, m.Term() // nobody of ours has declared it
	}
	if delivered > MaxDeliveries {
		return nil, t.Bury(ctx, fmt.Sprintf("%d members got it, and none said that it was done", MaxDeliveries))
	}
	return t, nil
}

// Progress says that it takes longer.
func (t *Task) Progress() error { return t.end(t.msg.InProgress()) }

// Done says that it is done, and returns once the server knows.
func (t *Task) Done(ctx context.Context) error { return t.end(t.msg.DoubleAck(ctx)) }

// Retry gives it back, to be done after a pause. The last time it becomes a dead
// letter, with that reason.
func (t *Task) Retry(ctx context.Context, after time.Duration, why string) error {
	if t.Delivery >= MaxDeliveries {
		return t.Bury(ctx, why)
	}
	return t.end(t.msg.NakWithDelay(after))
}

func (t *Task) end(err error) error {
	if err != nil {
		return explain(fmt.Errorf("job %s %s: %w", t.Kind, t.ID, err))
	}
	return nil
}

// DeadLetter is a job that nobody could do.
type DeadLetter struct {
	Kind       string    `json:"kind"`
	ID         string    `json:"id"`
	Payload    []byte    `json:"payload"`
	Reason     string    `json:"reason"`
	Deliveries int       `json:"deliveries"`
	At         time.Time `json:"at"`
}

const maxReason = 1 << 10

// Bury makes it a dead letter: nobody will be able to do it. First it is written
// there, and then it leaves the queue.
func (t *Task) Bury(ctx context.Context, why string) error {
	d := DeadLetter{Kind: t.Kind, ID: t.ID, Payload: t.Payload, Reason: why[:min(len(why), maxReason)], Deliveries: t.Delivery, At: time.Now().UTC()}
	data, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("dead letter of job %s %s: %w", t.Kind, t.ID, err)
	}
	name := t.jobs.c.names.job(kindDead, t.Kind, t.ID)
	if _, err := t.jobs.c.js.Publish(ctx, name, data, jetstream.WithExpectStream(t.jobs.dead.CachedInfo().Config.Name)); err != nil {
		return explain(fmt.Errorf("dead letter of job %s %s: %w", t.Kind, t.ID, err))
	}
	return t.end(t.msg.DoubleAck(ctx))
}

// Dead lists the newest dead letters, at most limit of them, the oldest first, and says
// how many messages lie before these. It asks once for each that it reads, so it begins
// at the end, with parts of the stream that become larger.
func (j *Jobs) Dead(ctx context.Context, limit int) (out []DeadLetter, older int, err error) {
	if j.dead == nil {
		return []DeadLetter{}, 0, nil
	}
	info, err := j.dead.Info(ctx)
	if err != nil {
		return nil, 0, explain(fmt.Errorf("listing dead letters: %w", err))
	}
	out, read := []DeadLetter{}, uint64(0)
	part := uint64(max(limit, 1))
	for end := info.State.LastSeq + 1; end > max(info.State.FirstSeq, 1) && len(out) < limit; part *= 2 {
		from := max(info.State.FirstSeq, 1)
		if end-from > part {
			from = end - part
		}
		var some []DeadLetter
		for seq := from; seq < end; seq++ {
			m, err := j.dead.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(j.c.names.all(kindDead))) // or the next after it
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				break
			}
			if err != nil {
				return nil, 0, explain(fmt.Errorf("listing dead letters: %w", err))
			}
			if seq = m.Sequence; seq >= end {
				break
			}
			read++
			if d, ok := j.readDead(m); ok {
				some = append(some, d)
			}
		}
		out, end = append(some, out...), from
	}
	cut := max(len(out)-limit, 0)
	return out[cut:], cut + int(info.State.Msgs-min(read, info.State.Msgs)), nil
}

// readDead reads a dead letter, which who may write to the stream may have made.
func (j *Jobs) readDead(m *jetstream.RawStreamMsg) (DeadLetter, bool) {
	var d DeadLetter
	if len(m.Data) > MaxMessage || json.Unmarshal(m.Data, &d) != nil {
		return d, false
	}
	d.Reason = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, d.Reason)
	ok := (Job{d.Kind, d.ID, d.Payload}).validate() == nil && m.Subject == j.c.names.job(kindDead, d.Kind, d.ID) && len(d.Reason) <= maxReason
	return d, ok
}

// Revive puts a dead letter back into the queue, as a job that was never given
// out.
func (j *Jobs) Revive(ctx context.Context, kind, id string) error {
	if err := (Job{Kind: kind, ID: id}).validate(); err != nil {
		return err
	}
	if j.dead == nil {
		return fmt.Errorf("%s/%s: %w", kind, id, ErrNoLetter)
	}
	m, err := lastOn(ctx, j.dead, j.c.names.job(kindDead, kind, id))
	if err != nil {
		return explain(err)
	}
	d, ok := DeadLetter{}, false
	if m != nil {
		d, ok = j.readDead(m)
	}
	if !ok {
		return fmt.Errorf("%s/%s: %w", kind, id, ErrNoLetter)
	}
	if err := j.Declare(ctx, Job{d.Kind, d.ID, d.Payload}); err != nil && !errors.Is(err, ErrQueued) {
		return err
	}
	if err := j.dead.DeleteMsg(ctx, m.Sequence); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return explain(fmt.Errorf("taking the dead letter %s %s out: %w", kind, id, err))
	}
	return nil
}
