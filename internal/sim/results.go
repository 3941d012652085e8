package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/anonymous-media-library/aml/channel/gossip"
)

// results are the figures of one run. Times are simulated, but Took.
type results struct {
	Options     options `json:"options"`
	Honest      int     `json:"honest"`
	Memberships int     `json:"memberships"` // honest followers of all channels together
	Published   int     `json:"published"`

	Delivery times   `json:"delivery"` // to who had been up for a minute or more
	Joining  times   `json:"joining"`  // to who had come within the last minute
	CatchUp  times   `json:"catchUp"`  // of who came back, until it had all it had missed
	Proofs   times   `json:"proofs"`   // until an honest follower had the proof of a fork
	Cut      int     `json:"cut"`      // releases that had not come when the node left
	Slowest  slowest `json:"slowest"`  // of the deliveries to who had been up for a minute

	Gossip       traffic `json:"gossip"`       // of honest nodes
	Sync         traffic `json:"sync"`         // of honest nodes
	Relayed      traffic `json:"relayed"`      // messages within gossip, of honest nodes
	HostileBytes float64 `json:"hostileBytes"` // their share of all that was sent

	Events   map[gossip.EventKind]int `json:"events"`
	Memory   uint64                   `json:"memory"` // bytes had from the system
	Took     time.Duration            `json:"took"`   // of real time
	Failures []string                 `json:"failures"`
}

// slowest is the delivery that took longest, and of how many honest followers
// how many were up when it came.
type slowest struct {
	Took      time.Duration `json:"took"`
	Followers int           `json:"followers"`
	Up        int           `json:"up"`
}

// times are percentiles, in nanoseconds in JSON.
type times struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50"`
	P90   time.Duration `json:"p90"`
	P99   time.Duration `json:"p99"`
	Max   time.Duration `json:"max"`
}

func timesOf(all []time.Duration) times {
	if len(all) == 0 {
		return times{}
	}
	slices.Sort(all)
	at := func(share float64) time.Duration { return all[min(len(all)-1, int(share*float64(len(all))))] }
	return times{len(all), at(0.5), at(0.9), at(0.99), all[len(all)-1]}
}

// traffic is what one node sends on average, and the one that sends most.
type traffic struct {
	Messages    int64 `json:"messages"`
	MaxMessages int64 `json:"maxMessages"`
	Bytes       int64 `json:"bytes"`
	MaxBytes    int64 `json:"maxBytes"`
}

func (t *traffic) add(messages, bytes int64) {
	t.Messages, t.Bytes = t.Messages+messages, t.Bytes+bytes
	t.MaxMessages, t.MaxBytes = max(t.MaxMessages, messages), max(t.MaxBytes, bytes)
}

func (t *traffic) mean(nodes int) {
	t.Messages, t.Bytes = t.Messages/int64(nodes), t.Bytes/int64(nodes)
}

// results sums up. It is called before the nodes are stopped.
func (k *watch) results() *results {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.w
	r := &results{Options: w.o, Honest: len(w.honest), Cut: k.cut, Slowest: k.slowest, Events: k.events, Memory: k.peak, Failures: []string{},
		Delivery: timesOf(k.delivery), Joining: timesOf(k.joining), CatchUp: timesOf(k.catchUp), Proofs: timesOf(k.proofs)}
	for _, a := range w.authors {
		book := k.logs[a]
		r.Memberships += len(book.follows)
		r.Published += len(book.at)
		if want := w.o.Releases; !a.forked && len(book.at) != want {
			r.Failures = append(r.Failures, fmt.Sprintf("channel %d: %d of %d releases were published", a.index, len(book.at), want))
		}
	}
	honest, hostile := int64(0), int64(0)
	for _, n := range w.honest {
		r.Failures = append(r.Failures, k.lacks(n)...)
		m := &n.meter
		r.Gossip.add(m.rpcs.Load(), m.rpcBytes.Load())
		r.Relayed.add(m.messages.Load(), m.dataBytes.Load())
		r.Sync.add(m.writes.Load(), m.syncBytes.Load())
		honest += m.rpcBytes.Load() + m.syncBytes.Load()
	}
	for _, h := range w.hostile {
		for _, m := range h.meters() {
			hostile += m.rpcBytes.Load() + m.syncBytes.Load()
		}
	}
	for _, t := range []*traffic{&r.Gossip, &r.Relayed, &r.Sync} {
		t.mean(len(w.honest))
	}
	r.HostileBytes = float64(hostile) / float64(max(1, honest+hostile))
	return r
}

func (h *adversary) meters() []*meter {
	if h.friend != nil {
		return []*meter{&h.friend.meter}
	}
	return []*meter{&h.meter}
}

// lacks says which releases an honest follower has not, by its own ledger, and
// of which fork it knows nothing. k.mu is held.
func (k *watch) lacks(n *node) (failures []string) {
	for _, a := range n.follow {
		want := uint64(len(k.logs[a].at))
		seq, frozen := n.known.Newest(a.ID, a.Key())
		switch {
		case a.forked && !frozen && !k.logs[a].split.IsZero():
			failures = append(failures, fmt.Sprintf("node %d does not know that the key of channel %d signed two histories", n.number, a.index))
		case !a.forked && seq != want:
			failures = append(failures, fmt.Sprintf("node %d has %d of %d releases of channel %d, which has %d followers", n.number, seq, want, a.index, a.followers))
		}
	}
	return failures
}

func (r *results) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (r *results) writeTable(out io.Writer) error {
	o := r.Options
	fmt.Fprintf(out, "%d nodes (%d hostile), %d channels and %d that fork, %d followed, %d releases, %.0f%% loss, %.0f%% churn a minute, seed %d\n\n",
		o.Nodes, o.hostile(), o.Channels, o.Forks, r.Memberships, r.Published, 100*o.Loss, 100*o.Churn, o.Seed)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "simulated time\tcount\tp50\tp90\tp99\tmax\t")
	row := func(what string, t times) {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t\n", what, t.Count, short(t.P50), short(t.P90), short(t.P99), short(t.Max))
	}
	row("delivery, up for a minute or more", r.Delivery)
	row("delivery, up for less", r.Joining)
	row("catch-up of who came back", r.CatchUp)
	row("proof of a fork", r.Proofs)
	fmt.Fprintln(w, "\t\t\t\t\t\t")
	fmt.Fprintln(w, "sent by an honest node\tmessages\tmax\tbytes\tmax\tbytes/s\t")
	length := (o.Warm + o.Publish + o.Settle).Seconds()
	sent := func(what string, t traffic) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%.0f\t\n", what, t.Messages, t.MaxMessages, t.Bytes, t.MaxBytes, float64(t.Bytes)/length)
	}
	sent("gossip", r.Gossip)
	sent("of it, releases passed on", r.Relayed)
	sent("sync", r.Sync)
	if err := w.Flush(); err != nil {
		return err
	}
	var events []string
	for kind, n := range r.Events {
		events = append(events, fmt.Sprintf("%d %s", n, kind))
	}
	slices.Sort(events)
	fmt.Fprintf(out, "\nhostile nodes sent %.0f%% of all bytes; %d releases had not come when a node left\nevents: %s\n", 100*r.HostileBytes, r.Cut, strings.Join(events, ", "))
	fmt.Fprintf(out, "the slowest delivery, %s, was of a channel with %d honest followers, %d of them up\n", short(r.Slowest.Took), r.Slowest.Followers, r.Slowest.Up)
	fmt.Fprintf(out, "%s simulated in %s, %d MiB of memory\n", time.Duration(length)*time.Second, r.Took.Round(time.Second), r.Memory>>20)
	if len(r.Failures) == 0 {
		_, err := fmt.Fprintln(out, "every honest follower has every release")
		return err
	}
	_, err := fmt.Fprintf(out, "%d FAILURES\n", len(r.Failures))
	return err
}

func short(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
