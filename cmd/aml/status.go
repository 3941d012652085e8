package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

// status says who a node is, for people.
func status(w io.Writer, s api.Status) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "peer id\t%s\n", s.PeerID)
	for _, addr := range append(slices.Clone(s.Addrs), s.URLs...) {
		fmt.Fprintf(t, "address\t%s\n", addr)
	}
	for _, found := range []struct {
		what  string
		addrs []string
	}{{"reachable", s.Reach.Confirmed}, {"unreachable", s.Reach.Unreachable}, {"relayed", s.Reach.Relayed}} {
		for _, addr := range found.addrs {
			fmt.Fprintf(t, "%s\t%s\n", found.what, addr)
		}
	}
	fmt.Fprintf(t, "home\t%s\nprocess\t%d, since %s\n", s.Home, s.PID, s.Started)
	fmt.Fprintf(t, "peers\t%d connected, by %d of %d connections in and %d of %d out\n", s.Peers, s.Connections.In, s.Connections.MaxIn, s.Connections.Out, s.Connections.MaxOut)
	fmt.Fprintf(t, "channels\t%d known, %d own\n", s.Channels, s.Own)
	fmt.Fprintf(t, "limits\tupload %s, download %s\n", rates(s.Limits.Upload), rates(s.Limits.Download))
	fmt.Fprintf(t, "announced\t%s, %d not stored with anybody yet, %d due, %d late\n", counted(s.Tracker.Keys, "key"), s.Tracker.Unheard, s.Tracker.Due, s.Tracker.Late)
	if s.Relay != (api.RelayStatus{}) {
		fmt.Fprintf(t, "relayed\t%s, %s, %s/s\n", counted(s.Relay.Circuits, "circuit"), config.FormatSize(s.Relay.Bytes), config.FormatSize(s.Relay.BytesPerSecond))
	}
	fmt.Fprintf(t, "blobs\t%d, %s\n", s.Blobs.BlobCount, config.FormatSize(s.Blobs.CurrentSize))
	if s.Blobs.ServeOnly {
		fmt.Fprintf(t, "\tthe disk is full: what is stored is served, nothing new is stored\n")
	}
	moved(t, s.Blobs)
	for _, sub := range s.Subscriptions {
		fmt.Fprintf(t, "follows\t%s -> %s%s\n", sub.Target, sub.Output, caution(", ", sub.Currency))
	}
	for _, p := range s.Plugins {
		state := string(p.State)
		if p.Reason != "" {
			state += ": " + p.Reason
		}
		fmt.Fprintf(t, "plugin\t%s, %s\n", p.ID, state)
	}
	if s.EventsLost != "" {
		fmt.Fprintf(t, "plugins\tevents are not kept for plugins until there is room: %s\n", s.EventsLost)
	}
	for _, f := range s.Failing {
		times := ""
		if f.Fails > 1 {
			times = fmt.Sprintf(" %d times in a row", f.Fails)
		}
		fmt.Fprintf(t, "%s\t%s failed%s: %s\n", f.Kind, f.Name, times, f.Error)
	}
	t.Flush()
}

// blobStatus says what a store holds, for people.
func blobStatus(w io.Writer, s api.BlobStatus) {
	limit := "no quota"
	if s.MaxSize > 0 {
		limit = fmt.Sprintf("%.1f%% of %s", 100*s.Utilization, config.FormatSize(s.MaxSize))
	}
	fmt.Fprintf(w, "%s, %s (%s); %d pinned, %s\n", blobs(s.BlobCount), config.FormatSize(s.CurrentSize), limit, s.Pinned, config.FormatSize(s.PinnedSize))
	if s.ServeOnly {
		fmt.Fprintln(w, "the disk is full: what is stored is served, nothing new is stored")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	moved(t, s)
	for _, p := range s.Peers {
		fmt.Fprintf(t, "peer %s\treceived %s\tsent %s\n", p.Peer, counts(p.Received), counts(p.Sent))
	}
	t.Flush()
}

// moved says what lies in files and what was transferred.
func moved(w io.Writer, s api.BlobStatus) {
	if s.InPlace.Files > 0 {
		fmt.Fprintf(w, "in place\t%s, %s, in %s\n", counted(s.InPlace.Blobs, "blob"), config.FormatSize(s.InPlace.Bytes), counted(s.InPlace.Files, "file"))
	}
	if s.Received != (api.Counts{}) || s.Sent != (api.Counts{}) {
		fmt.Fprintf(w, "received\t%s\nsent\t%s\n", counts(s.Received), counts(s.Sent))
	}
}

// counts says what was of use and what was not.
func counts(c api.Counts) string {
	text := config.FormatSize(c.Useful)
	for _, part := range []struct {
		bytes int64
		name  string
	}{{c.Duplicate, "duplicate"}, {c.Wasted, "wasted"}, {c.Overhead, "overhead"}} {
		if part.bytes > 0 {
			text += fmt.Sprintf(" + %s %s", config.FormatSize(part.bytes), part.name)
		}
	}
	return text
}

// rates says what limits hold.
func rates(r api.Rates) string {
	text := "none"
	if r.Total > 0 {
		text = config.FormatSize(r.Total) + "/s"
	}
	if r.Peer > 0 {
		text += ", each peer " + config.FormatSize(r.Peer) + "/s"
	}
	for _, class := range slices.Sorted(maps.Keys(r.Class)) {
		text += ", " + class + " " + config.FormatSize(r.Class[class]) + "/s"
	}
	return text
}
