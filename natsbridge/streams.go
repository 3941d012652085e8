package natsbridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The streams of a network, by what follows aml_<network>_ in their names.
const (
	streamManifests = "MANIFESTS"
	streamHeads     = "HEADS"
	streamSnapshots = "SNAPSHOTS"
	streamJobs      = "JOBS"
	streamDead      = "DEAD"
)

// duplicates is how long a stream knows message ids. It saves writes alone:
// nothing rests on it.
const duplicates = 2 * time.Minute

// maxDead bounds the dead letters that are kept.
const maxDead = 10_000

// manifests holds one message per subject for ever, and refuses a second one, so
// that nobody can put something else in the place of what is there.
func (n names) manifests(replicas int) jetstream.StreamConfig {
	return n.config(jetstream.StreamConfig{
		Name: n.stream(streamManifests), Description: "aml: roots, manifests and proofs of forks, signed",
		Subjects: []string{n.all(kindRoot), n.all(kindManifest), n.all(kindFork)},
		Discard:  jetstream.DiscardNew, DiscardNewPerSubject: true, MaxMsgsPerSubject: 1, MaxMsgs: -1,
	}, replicas)
}

// heads holds the newest head of each log.
func (n names) heads(replicas int) jetstream.StreamConfig {
	return n.config(jetstream.StreamConfig{
		Name: n.stream(streamHeads), Description: "aml: the newest head of each log, signed",
		Subjects: []string{n.all(kindHead)}, Discard: jetstream.DiscardOld, MaxMsgsPerSubject: 1, MaxMsgs: -1,
	}, replicas)
}

// snapshots holds the newest snapshot of each log.
func (n names) snapshots(replicas int) jetstream.StreamConfig {
	return n.config(jetstream.StreamConfig{
		Name: n.stream(streamSnapshots), Description: "aml: the newest snapshot of each log with its pages, signed",
		Subjects: []string{n.all(kindSnapshot)}, Discard: jetstream.DiscardOld, MaxMsgsPerSubject: 1, MaxMsgs: -1,
	}, replicas)
}

// jobs holds what is to be done, each once, until somebody has done it.
func (n names) jobs(replicas int) jetstream.StreamConfig {
	return n.config(jetstream.StreamConfig{
		Name: n.stream(streamJobs), Description: "aml: work that the members of a group share",
		Subjects: []string{n.all(kindJob)}, Retention: jetstream.WorkQueuePolicy,
		Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxMsgsPerSubject: 1, MaxMsgs: -1,
	}, replicas)
}

// dead holds the newest jobs that nobody could do.
func (n names) dead(replicas int) jetstream.StreamConfig {
	return n.config(jetstream.StreamConfig{
		Name: n.stream(streamDead), Description: "aml: jobs that failed for good",
		Subjects: []string{n.all(kindDead)}, Discard: jetstream.DiscardOld, MaxMsgsPerSubject: 1, MaxMsgs: maxDead,
	}, replicas)
}

// config fills in what all have. No stream answers reads directly, since those
// may be answered by a replica that is behind.
func (n names) config(c jetstream.StreamConfig, replicas int) jetstream.StreamConfig {
	c.Storage, c.Replicas, c.Duplicates = jetstream.FileStorage, replicas, duplicates
	c.MaxMsgSize, c.MaxBytes, c.DenyPurge = MaxMessage+maxHeader, -1, c.Retention != jetstream.WorkQueuePolicy && c.Name != n.stream(streamDead)
	return c
}

// ensure opens a stream, and makes it if there is none. One that is there may
// have other replicas, limits and subjects beside; not another order of things.
func ensure(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, mayMake bool) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) && mayMake {
		s, err = js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // somebody was quicker
			s, err = js.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return nil, explain(fmt.Errorf("stream %s: %w", want.Name, err))
	}
	if err := compatible(s.CachedInfo().Config, want); err != nil {
		return nil, fmt.Errorf("stream %s: %w; delete it with `nats stream rm %s`: aml fills it anew from what it has", want.Name, err, want.Name)
	}
	return s, nil
}

func compatible(has, want jetstream.StreamConfig) error {
	for _, s := range want.Subjects {
		if !slices.Contains(has.Subjects, s) {
			return fmt.Errorf("%w: it does not have the subjects %s", ErrStream, s)
		}
	}
	switch {
	case has.Retention != want.Retention:
		return fmt.Errorf("%w: its retention is %s, not %s", ErrStream, has.Retention, want.Retention)
	case has.Discard != want.Discard || has.DiscardNewPerSubject != want.DiscardNewPerSubject:
		return fmt.Errorf("%w: it discards otherwise than %s", ErrStream, want.Discard)
	case has.MaxMsgsPerSubject != want.MaxMsgsPerSubject:
		return fmt.Errorf("%w: it keeps %d messages of a subject, not %d", ErrStream, has.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	case has.AllowRollup || has.AllowMsgTTL || has.AllowMsgCounter || has.AllowMsgSchedules:
		return fmt.Errorf("%w: headers of a message may delete or change others (rollup, TTL, counters, schedules)", ErrStream)
	case has.MaxAge != 0:
		return fmt.Errorf("%w: it forgets messages by age", ErrStream)
	case has.NoAck:
		return fmt.Errorf("%w: it does not say what it has stored", ErrStream)
	case has.Sealed:
		return fmt.Errorf("%w: it is sealed", ErrStream)
	case has.Storage != want.Storage:
		return fmt.Errorf("%w: it is kept in memory alone", ErrStream)
	case has.AllowDirect:
		return fmt.Errorf("%w: it answers reads from replicas that may be behind (allow_direct)", ErrStream)
	}
	return nil
}
