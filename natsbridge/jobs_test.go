package natsbridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/anonymous-media-library/aml/channel"
)

func dialTest(t testing.TB, url string) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), Server{URLs: []string{url}}, DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func jobsOf(t testing.TB, url string) *Jobs {
	t.Helper()
	j, err := dialTest(t, url).Jobs(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func take(t testing.TB, j *Jobs, kind string) *Task {
	t.Helper()
	task, err := j.Take(t.Context(), kind, patience)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func TestAJobIsGivenToOneMemberAndOnceItIsDoneToNone(t *testing.T) {
	t.Parallel()
	url := startServer(t, t.TempDir(), nil).ClientURL()
	a, b := jobsOf(t, url), jobsOf(t, url)
	ctx := t.Context()
	job := Job{Kind: "fetch", ID: "abc", Payload: []byte("what")}
	if err := a.Declare(ctx, job); err != nil {
		t.Fatal(err)
	}
	if err := b.Declare(ctx, job); !errors.Is(err, ErrQueued) {
		t.Errorf("the same job of another member: %v", err)
	}
	task := take(t, b, "fetch")
	if task.ID != "abc" || string(task.Payload) != "what" || task.Delivery != 1 {
		t.Errorf("got %+v", task)
	}
	if err := a.Declare(ctx, job); !errors.Is(err, ErrQueued) {
		t.Errorf("the same job while somebody is at it: %v", err)
	}
	for _, kind := range []string{"fetch", "check"} {
		if _, err := a.Take(ctx, kind, time.Millisecond); !errors.Is(err, ErrNoJob) {
			t.Errorf("of kind %s there is another job: %v", kind, err)
		}
	}
	if err := task.Progress(); err != nil {
		t.Error(err)
	}
	if err := task.Done(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Declare(ctx, job); err != nil {
		t.Errorf("after it was done it is no new job: %v", err)
	}
	if task := take(t, a, "fetch"); task.Delivery != 1 {
		t.Errorf("the new job was given out %d times", task.Delivery)
	}
}

func TestAJobThatFailsFiveTimesIsADeadLetterAndCanBeRevived(t *testing.T) {
	t.Parallel()
	url := startServer(t, t.TempDir(), nil).ClientURL()
	j := jobsOf(t, url)
	ctx := t.Context()
	if err := j.Declare(ctx, Job{Kind: "fetch", ID: "abc", Payload: []byte{0, 1}}); err != nil {
		t.Fatal(err)
	}
	for i := range MaxDeliveries {
		task := take(t, j, "fetch")
		if task.Delivery != i+1 {
			t.Fatalf("delivery %d is called %d", i+1, task.Delivery)
		}
		if err := task.Retry(ctx, 0, "no \x1b[31mpeer has it"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.Take(ctx, "fetch", time.Millisecond); !errors.Is(err, ErrNoJob) {
		t.Errorf("it is given out a sixth time: %v", err)
	}
	dead, _, err := j.Dead(ctx, 10)
	if err != nil || len(dead) != 1 || dead[0].ID != "abc" || dead[0].Reason != "no [31mpeer has it" || dead[0].Deliveries != MaxDeliveries || string(dead[0].Payload) != "\x00\x01" {
		t.Fatalf("dead letters: %+v, %v", dead, err)
	}
	if err := j.Revive(ctx, "fetch", "other"); !errors.Is(err, ErrNoLetter) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reviving what is not there: %v", err)
	}
	if err := j.Revive(ctx, "fetch", "abc"); err != nil {
		t.Fatal(err)
	}
	task := take(t, j, "fetch")
	if task.Delivery != 1 {
		t.Errorf("revived, it was given out %d times", task.Delivery)
	}
	if err := task.Bury(ctx, "cannot be done"); err != nil {
		t.Fatal(err)
	}
	if dead, _, err = j.Dead(ctx, 10); err != nil || len(dead) != 1 || dead[0].Deliveries != 1 {
		t.Errorf("dead letters: %+v, %v", dead, err)
	}
}

func TestAJobOfAMemberThatDiedIsGivenToAnother(t *testing.T) {
	t.Parallel()
	url := startServer(t, t.TempDir(), nil).ClientURL()
	a, b := jobsOf(t, url), jobsOf(t, url)
	if err := a.Declare(t.Context(), Job{Kind: "fetch", ID: "abc"}); err != nil {
		t.Fatal(err)
	}
	first := take(t, a, "fetch")
	cfg, err := a.queue.Consumer(t.Context(), "aml-fetch")
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.CachedInfo().Config; got.AckWait != JobWait {
		t.Errorf("a job is given to another after %v", got.AckWait)
	}
	if err := first.msg.Nak(); err != nil { // the test does not wait so long, and has the server do so now
		t.Fatal(err)
	}
	if task := take(t, b, "fetch"); task.Delivery != 2 {
		t.Errorf("it was given out %d times", task.Delivery)
	}
}

func TestWhatIsNoJobIsRefusedAndWhatOthersWriteThereHarmsNothing(t *testing.T) {
	t.Parallel()
	url := startServer(t, t.TempDir(), nil).ClientURL()
	j := jobsOf(t, url)
	ctx := t.Context()
	for _, job := range []Job{{}, {Kind: "a", ID: "b.c"}, {Kind: "a*", ID: "b"}, {Kind: "a", ID: ">"}, {Kind: "A", ID: "b"}, {Kind: "a", ID: strings.Repeat("x", 129)}} {
		if err := j.Declare(ctx, job); !errors.Is(err, channel.ErrMalformed) {
			t.Errorf("job %+v: %v", job, err)
		}
	}
	if err := j.Declare(ctx, Job{"a", "b", make([]byte, MaxJob+1)}); !errors.Is(err, channel.ErrTooLarge) {
		t.Errorf("too much: %v", err)
	}
	_, js := client(t, url)
	n := newNames(DefaultNetwork)
	for _, name := range []string{"job.fetch.UPPER", "job.fetch.ok", "dead.fetch.x", "dead.y"} {
		if _, err := js.Publish(ctx, n.prefix+name, []byte("junk")); err != nil {
			t.Fatal(err)
		}
	}
	if task := take(t, j, "fetch"); task.ID != "ok" {
		t.Errorf("given was %q", task.ID)
	}
	if dead, _, err := j.Dead(ctx, 10); err != nil || len(dead) != 0 {
		t.Errorf("dead letters: %+v, %v", dead, err)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := j.Take(over, "fetch", patience); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestTheNewestDeadLettersAreListedAndHowManyAreOlder(t *testing.T) {
	t.Parallel()
	url := startServer(t, t.TempDir(), nil).ClientURL()
	j := jobsOf(t, url)
	_, js := client(t, url)
	n := newNames(DefaultNetwork)
	bury := func(id string) {
		t.Helper()
		if _, err := js.Publish(t.Context(), n.job(kindDead, "fetch", id), []byte(`{"kind":"fetch","id":"`+id+`","reason":"none","deliveries":5}`)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		bury(fmt.Sprint(i))
	}
	for range 50 {
		bury("again") // the newest of a subject stays: places are empty
	}
	ids := func(all []DeadLetter) (out string) {
		for _, d := range all {
			out += d.ID + " "
		}
		return out
	}
	for limit, want := range map[int]string{1: "again 10", 3: "8 9 again 8", 11: "0 1 2 3 4 5 6 7 8 9 again 0", 100: "0 1 2 3 4 5 6 7 8 9 again 0"} {
		dead, older, err := j.Dead(t.Context(), limit)
		if got := ids(dead) + fmt.Sprint(older); err != nil || got != want {
			t.Errorf("of %d: %s, %v; want %s", limit, got, err, want)
		}
	}
}

func TestProgressTellsTheServer(t *testing.T) {
	t.Parallel()
	url := startServer(t, t.TempDir(), nil).ClientURL()
	j := jobsOf(t, url)
	if err := j.Declare(t.Context(), Job{Kind: "fetch", ID: "abc"}); err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 8)
	nc, _ := client(t, url)
	if _, err := nc.Subscribe("$JS.ACK."+newNames(DefaultNetwork).stream(streamJobs)+".>", func(m *nats.Msg) { heard <- string(m.Data) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := take(t, j, "fetch").Progress(); err != nil {
		t.Fatal(err)
	}
	select {
	case said := <-heard:
		if said != "+WPI" {
			t.Errorf("the server was told %q", said)
		}
	case <-time.After(patience):
		t.Error("the server was told nothing")
	}
}
