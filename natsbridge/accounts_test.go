package natsbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// TestTheExampleAccountsGiveTheLeastRights loads the configuration that
// docs/nats.md shows into a real server.
func TestTheExampleAccountsGiveTheLeastRights(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "accounts.conf"))
	if err != nil {
		t.Fatal(err)
	}
	c, other := channeltest.NewChannel(t, "c"), channeltest.NewChannel(t, "other")
	seeds := map[string]string{}
	fill := []string{"$CHANNEL", c.ID.String(), `"/var/lib/nats"`, `"` + t.TempDir() + `"`, `"127.0.0.1:4222"`, `"127.0.0.1:-1"`}
	for _, role := range []string{"BRIDGE", "PUBLISHER", "MIRROR", "READER"} {
		public, seed := newUser(t)
		fill = append(fill, "$"+role, public)
		seeds[role] = file(t, seed)
	}
	conf := strings.NewReplacer(fill...).Replace(string(text))
	opts, err := server.ProcessConfigFile(file(t, conf))
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, opts.StoreDir, func(o *server.Options) {
		name := o.ServerName
		*o = *opts
		o.NoLog, o.NoSigs, o.ServerName = true, true, name
	})
	as := func(role string) (*nats.Conn, jetstream.JetStream) {
		nkey, err := nats.NkeyOptionFromSeed(seeds[role])
		if err != nil {
			t.Fatal(err)
		}
		return client(t, s.ClientURL(), nkey, nats.CustomInboxPrefix("_INBOX_"+strings.ToLower(role)), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	}
	server := func(role string) Server {
		return Server{URLs: urls(s), NKey: seeds[role], Inbox: "_INBOX_" + strings.ToLower(role)}
	}

	// The bridge does all that it has to.
	left, mirror := newSite(t, "left", c.ID), newSite(t, "mirror", c.ID)
	left.append(c.Envelope)
	cfg := left.config()
	cfg.Server, cfg.Consumer = server("BRIDGE"), "secret"
	left.bridge(cfg)
	left.connected()
	cfg = mirror.config()
	cfg.Server, cfg.ReadOnly = server("MIRROR"), true
	mirror.bridge(cfg)
	mirror.connected()
	reader, readerJS := as("READER")
	events, err := reader.SubscribeSync(newNames(DefaultNetwork).prefix + "event.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Flush(); err != nil {
		t.Fatal(err)
	}
	publisher, publisherJS := as("PUBLISHER")
	n := newNames(DefaultNetwork)
	release := c.Files("one")
	until(t, "a publisher hands in a release", func() bool {
		m, err := publisher.Request(n.of(kindIn, c.ID), release, time.Second)
		var a Answer
		return err == nil && json.Unmarshal(m.Data, &a) == nil && a.Accepted+a.Known == 1
	})
	// aml hands in by itself what a node has, with these rights.
	author := newSite(t, "author", c.ID)
	author.append(c.Envelope, release)
	author.append(releases(c, 20)...)
	author.append(c.Head(time.Hour))
	cfg = author.config()
	cfg.Server, cfg.Submit = server("PUBLISHER"), true
	author.bridge(cfg)
	left.has(c)
	mirror.has(c)
	until(t, "the head is there too", func() bool { l := mirror.info(c.ID).Logs[0]; return l.Head != nil && l.Head.Seq == c.Seq })
	m, err := events.NextMsg(patience)
	if err != nil {
		t.Fatalf("a reader sees no event: %v", err)
	}
	var v View
	if err := json.Unmarshal(m.Data, &v); err != nil || v.Seq != 1 || v.Channel != c.ID.String() || len(v.Entries) != 1 || v.Entries[0].Name != "one" || v.Private {
		t.Errorf("the view of a release: %+v, %v", v, err)
	}
	if strings.Contains(string(m.Data), "key") {
		t.Errorf("the view tells of keys: %s", m.Data)
	}
	conn, err := Dial(t.Context(), server("MIRROR"), DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	jobs, err := conn.Jobs(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := jobs.Declare(t.Context(), Job{Kind: "fetch", ID: "abc"}); err != nil {
		t.Fatal(err)
	}
	if err := take(t, jobs, "fetch").Bury(t.Context(), "no"); err != nil {
		t.Fatal(err)
	}
	if dead, _, err := jobs.Dead(t.Context(), 10); err != nil || len(dead) != 1 {
		t.Errorf("dead letters: %+v, %v", dead, err)
	}
	if err := jobs.Revive(t.Context(), "fetch", "abc"); err != nil {
		t.Error(err)
	}
	// Members of a group speak to one another, and nobody else does.
	second, err := Dial(t.Context(), server("MIRROR"), DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	ear, err := second.Group("g")
	if err != nil {
		t.Fatal(err)
	}
	defer ear.Close()
	second.Flush()
	for _, nc := range []*nats.Conn{reader, publisher} {
		if err := nc.Publish(ear.subject, []byte("of a stranger")); err != nil {
			t.Fatal(err)
		}
		_ = nc.Flush()
	}
	mouth, err := conn.Group("g")
	if err != nil {
		t.Fatal(err)
	}
	defer mouth.Close()
	until(t, "a member is heard", func() bool {
		if err := mouth.Say([]byte("of a member")); err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-ear.in:
			if string(m.Data) != "of a member" {
				t.Errorf("heard %q", m.Data)
			}
			return true
		default:
			return false
		}
	})

	// Bridges put blobs, members of a fleet have them, and nobody else does either.
	owner, err := Dial(t.Context(), server("BRIDGE"), DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	blob := []byte("a sealed blob")
	id := blobnet.Sum(blob)
	if _, err := conn.Blobs(t.Context(), 1, 1<<20, false); err == nil {
		t.Error("there is a bucket that nobody has made")
	}
	bucket, err := owner.Blobs(t.Context(), 1, 1<<20, true)
	if err == nil {
		err = bucket.Put(t.Context(), id, blob)
	}
	if err != nil {
		t.Fatal(err)
	}
	for role, c := range map[string]*Conn{"BRIDGE": owner, "MIRROR": conn} {
		b, err := c.Blobs(t.Context(), 1, 1<<20, false)
		if err != nil {
			t.Fatalf("%s: %v", role, err)
		}
		if has, err := b.Have(t.Context(), []blobnet.ID{id}); err != nil || !has[0] {
			t.Errorf("%s: %v, %v", role, has, err)
		}
		if got, err := b.Get(t.Context(), id, nil); err != nil || string(got) != string(blob) {
			t.Errorf("%s: %q, %v", role, got, err)
		}
	}
	if err := bucket.Delete(t.Context(), id); err != nil {
		t.Error(err)
	}

	// Nobody else does more than is his.
	_, mirrorJS := as("MIRROR")
	for role, js := range map[string]jetstream.JetStream{"PUBLISHER": publisherJS, "MIRROR": mirrorJS, "READER": readerJS} {
		if got := refusedBy(t, js, n.manifest(c.ID, 0, 9, c.Key())); !got {
			t.Errorf("%s writes a manifest", role)
		}
		if got := refusedBy(t, js, n.head(c.ID, c.Key())); !got {
			t.Errorf("%s writes a head", role)
		}
		if got := refusedBy(t, js, n.snapshot(c.ID, c.Key())); !got {
			t.Errorf("%s writes a snapshot", role)
		}
		if got := refusedBy(t, js, "$O.aml_main_blobs.C.x"); !got {
			t.Errorf("%s writes a part of a blob", role)
		}
	}
	bridge, bridgeJS := as("BRIDGE")
	member, _ := as("MIRROR")
	streams := []string{n.stream(streamManifests), n.stream(streamHeads), n.stream(streamJobs), n.stream(streamDead), "OBJ_aml_main_blobs"}
	created := func() (out []time.Time) {
		for _, name := range streams[:2] {
			st, err := bridgeJS.Stream(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, st.CachedInfo().Created)
		}
		return out
	}
	before := created()
	for role, nc := range map[string]*nats.Conn{"BRIDGE": bridge, "PUBLISHER": publisher, "MIRROR": member, "READER": reader} {
		var asked []string
		for _, name := range streams {
			asked = append(asked, "STREAM.DELETE."+name, "STREAM.UPDATE."+name, "STREAM.SNAPSHOT."+name, "STREAM.RESTORE."+name, "CONSUMER.LIST."+name, "CONSUMER.NAMES."+name)
			if name != streams[4] || role != "BRIDGE" { // its old parts are purged
				asked = append(asked, "STREAM.PURGE."+name)
			}
			if role != "BRIDGE" && name != streams[3] {
				asked = append(asked, "STREAM.MSG.DELETE."+name)
			}
			if name != streams[4] {
				asked = append(asked, "CONSUMER.DELETE."+name+".aml-left", "CONSUMER.PAUSE."+name+".aml-left")
			}
		}
		asked = append(asked, "STREAM.CREATE.other", "STREAM.LIST", "STREAM.NAMES")
		answers, err := nc.SubscribeSync(nc.NewInbox())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range asked {
			if err := nc.PublishRequest("$JS.API."+name, answers.Subject, nil); err != nil {
				t.Fatal(err)
			}
		}
		if m, err := answers.NextMsg(refusal); err == nil {
			t.Errorf("%s may ask for more than is his: %s", role, m.Data)
		}
	}
	for i, at := range created() {
		if !at.Equal(before[i]) {
			t.Errorf("%s is another one", streams[i])
		}
	}
	// Who knows what a bridge is called does not know what its consumers are.
	for _, name := range streams[:2] {
		deaf := fmt.Sprintf(`{"stream_name":%q,"action":"update","config":{"durable_name":"aml-left","name":"aml-left","deliver_policy":"all","ack_policy":"explicit","filter_subject":"x"}}`, name)
		m, err := member.Request("$JS.API.CONSUMER.CREATE."+name+".aml-left", []byte(deaf), patience)
		if err != nil || !strings.Contains(string(m.Data), `"error"`) {
			t.Errorf("MIRROR alters what a bridge reads %s by: %v", name, err)
		}
	}
	for role, js := range map[string]jetstream.JetStream{"PUBLISHER": publisherJS, "READER": readerJS} {
		if got := refusedBy(t, js, n.job(kindJob, "fetch", "x")); !got {
			t.Errorf("%s declares a job", role)
		}
	}
	for role, nc := range map[string]*nats.Conn{"PUBLISHER": publisher, "READER": reader} {
		if _, err := nc.Request(n.of(kindIn, other.ID), other.Envelope, refusal); err == nil {
			t.Errorf("%s speaks for another channel", role)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), refusal)
	defer cancel()
	if st, err := readerJS.Stream(ctx, n.stream(streamManifests)); err == nil {
		t.Errorf("a reader opens the stream %v", st)
	}
	for _, at := range []*site{left, mirror} { // and each of them has all the rights that it needs
		if failed := at.saw(EventFailed); len(failed) > 0 {
			t.Errorf("%s: %v", at.name, failed[0].Err)
		}
	}
	info := left.info(c.ID)
	if len(info.Logs) != 1 || info.Logs[0].Seq != c.Seq || info.Forked {
		t.Errorf("what they tried has changed %+v", info)
	}
}

// refusal is how long is waited for an answer that must not come. If it comes
// later the test does not see it, and does not fail for nothing.
const refusal = 100 * time.Millisecond

// refusedBy reports whether a message is not taken by a stream.
func refusedBy(t testing.TB, js jetstream.JetStream, name string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), refusal)
	defer cancel()
	_, err := js.Publish(ctx, name, []byte("junk"))
	return err != nil && !errors.Is(err, jetstream.ErrStreamNotFound)
}
