package updates

import (
	"context"
	"crypto/sha256"
	"encoding/xml"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"
	"google.golang.org/protobuf/proto"

	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// opened is the plugin as it runs, in a folder, at a time.
func opened(t *testing.T, state string, now *time.Time, settings ...string) *plugin {
	t.Helper()
	p := &plugin{now: func() time.Time { return *now }}
	values := map[string]string{"signed": "no", "channels": ""}
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		values[key] = value
	}
	if err := p.configure(t.Context(), sdk.Setup{Config: values, State: state}); err != nil {
		t.Fatal(err)
	}
	return p
}

// version is a release of one build, whose bytes are its version.
func version(v string, issued int64, metadata ...string) *sdk.Release {
	sum := sha256.Sum256([]byte(v))
	r := &sdk.Release{Title: "App " + v, Description: "new in <" + v + ">", Issued: issued, Seq: uint64(issued), Metadata: map[string]string{"version": v},
		Entries: []*sdk.Entry{{Name: "a b/app-" + v, Size: uint64(len(v)), Sha256: sum[:], Attrs: map[string]string{"platform": "darwin/arm64", "edSignature": "c2ln"}}}}
	for _, m := range metadata {
		key, value, _ := strings.Cut(m, "=")
		r.Metadata[key] = value
	}
	return r
}

func all(releases []*sdk.Release) iter.Seq2[*sdk.Release, error] {
	return func(yield func(*sdk.Release, error) bool) {
		for _, r := range releases {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// write renders a document into a file.
func write(t *testing.T, p *plugin, format, path string, releases ...*sdk.Release) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := p.render(t.Context(), &sdk.RenderStart{Channel: "c", Title: "App", Format: format, BaseUrl: "https://example.org/files/"}, all(releases), f); err != nil {
		t.Fatalf("%s: %v", format, err)
	}
}

// A TUF client, with nothing but the first root.json, follows a channel over new
// versions, retractions and a restart of the plugin.
func TestATUFClientReadsWhatAChannelHas(t *testing.T) {
	state, site, local := t.TempDir(), t.TempDir(), t.TempDir()
	server := httptest.NewServer(http.FileServer(http.Dir(site)))
	defer server.Close()
	now := time.Now() // the client's clock is the system's
	targets := filepath.Join(site, "targets", "a b")
	if err := os.MkdirAll(targets, 0o755); err != nil {
		t.Fatal(err)
	}
	publish := func(releases ...*sdk.Release) {
		t.Helper()
		p := opened(t, state, &now) // each time as after a restart
		for _, role := range []string{"root", "targets", "snapshot", "timestamp"} {
			write(t, p, "tuf-"+role, filepath.Join(site, role+".json"), releases...)
		}
		for _, r := range releases {
			v := r.Metadata["version"]
			if err := os.WriteFile(filepath.Join(targets, "app-"+v), []byte(v), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	one, two := version("1.0.0", 100), version("2.0.0", 200)
	publish(one)
	root, err := os.ReadFile(filepath.Join(site, "root.json"))
	if err != nil {
		t.Fatal(err)
	}
	has := func(v string) bool {
		t.Helper()
		cfg, err := config.New(server.URL, root)
		if err != nil {
			t.Fatal(err)
		}
		cfg.LocalMetadataDir, cfg.LocalTargetsDir, cfg.PrefixTargetsWithHash = local, local, false
		u, err := updater.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Refresh(); err != nil {
			t.Fatalf("looking for %s: %v", v, err)
		}
		info, err := u.GetTargetInfo("a b/app-" + v)
		if err != nil {
			return false
		}
		_, data, err := u.DownloadTarget(info, filepath.Join(local, "app"), "")
		if err != nil || string(data) != v {
			t.Errorf("of version %s the client has %q, %v", v, data, err)
		}
		if text := string(*info.Custom); !strings.Contains(text, `"platform":"darwin/arm64"`) || !strings.Contains(text, `"version":"`+v+`"`) {
			t.Errorf("version %s is called %s", v, text)
		}
		return true
	}
	if !has("1.0.0") || has("2.0.0") {
		t.Error("the client does not see the first version alone")
	}
	publish(two, one)
	if !has("1.0.0") || !has("2.0.0") {
		t.Error("the client does not see both versions")
	}
	publish(one) // the newer one was taken back
	if has("2.0.0") {
		t.Error("the client sees what was taken back")
	}
	publish(version("3.0.0", 300, "rollout=50"), one) // for some, of whom TUF knows nothing
	if has("3.0.0") {
		t.Error("the client sees what is not for everybody")
	}
	now = now.Add(targetsLife/2 + time.Hour) // signed anew long before it expires
	before, err := os.ReadFile(filepath.Join(site, "targets.json"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, opened(t, state, &now), "tuf-targets", filepath.Join(site, "targets.json"), one)
	if after, err := os.ReadFile(filepath.Join(site, "targets.json")); err != nil || string(after) == string(before) {
		t.Errorf("it was not signed anew: %v", err)
	}
}

func TestAnAppcastNamesWhatEverybodyIsToHave(t *testing.T) {
	now := time.Unix(1000, 0)
	path := filepath.Join(t.TempDir(), "appcast.xml")
	write(t, opened(t, t.TempDir(), &now), "appcast", path,
		version("3.0.0", 400, "rollout=10"), version("2.0.0-rc.1", 300, "track=beta"), version("1.0.0", 100), &sdk.Release{Title: "no version"})
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Channel struct {
			Items []struct {
				Version   string `xml:"http://www.andymatuschak.org/xml-namespaces/sparkle version"`
				Track     string `xml:"http://www.andymatuschak.org/xml-namespaces/sparkle channel"`
				Notes     string `xml:"description"`
				Enclosure struct {
					URL    string `xml:"url,attr"`
					Length int    `xml:"length,attr"`
					OS     string `xml:"http://www.andymatuschak.org/xml-namespaces/sparkle os,attr"`
					Sig    string `xml:"http://www.andymatuschak.org/xml-namespaces/sparkle edSignature,attr"`
				} `xml:"enclosure"`
			} `xml:"item"`
		} `xml:"channel"`
	}
	if err := xml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	items := doc.Channel.Items
	if len(items) != 2 || items[0].Version != "2.0.0-rc.1" || items[0].Track != "beta" || items[1].Version != "1.0.0" || items[1].Track != "" || items[1].Notes != "new in <1.0.0>" {
		t.Fatalf("items: %+v", items)
	}
	if e := items[1].Enclosure; e.URL != "https://example.org/files/a%20b/app-1.0.0" || e.Length != 5 || e.OS != "macos" || e.Sig != "c2ln" {
		t.Errorf("enclosure: %+v", e)
	}
}

func TestWhatIsNotPublished(t *testing.T) {
	now := time.Unix(1000, 0)
	state := t.TempDir()
	const id = "baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	draft := func(v string, change func(d *sdk.Draft)) *sdk.Draft {
		r := version(v, 0)
		d := &sdk.Draft{Title: r.Title, Description: r.Description, Metadata: r.Metadata}
		for _, e := range r.Entries {
			d.Files = append(d.Files, &sdk.DraftFile{Name: e.Name, Size: e.Size, Sha256: e.Sha256, Attrs: e.Attrs})
		}
		if change != nil {
			change(d)
		}
		return d
	}
	earlier := []*sdk.Release{version("1.0.0", 1), version("1.1.0", 2)}
	for _, step := range []struct {
		what  string
		draft *sdk.Draft
		why   string // empty: it is published
	}{
		{"the next", draft("1.2.0", nil), ""},
		{"the next, made anew since it was not published", draft("1.2.0", func(d *sdk.Draft) { d.Files[0].Sha256 = make([]byte, 32) }), ""},
		{"the same again", draft("1.1.0", func(d *sdk.Draft) { d.Metadata["rollout"] = "50" }), ""},
		{"a lower one", draft("1.0.5", nil), "1.0.5 is lower than 1.1.0"},
		{"one without notes", draft("1.2.0", func(d *sdk.Draft) { d.Description = "" }), "no notes"},
		{"one without a build", draft("1.2.0", func(d *sdk.Draft) { d.Files[0].Attrs = nil }), "no build"},
		{"one for another platform", draft("1.2.0", func(d *sdk.Draft) { d.Files[0].Attrs["platform"] = "linux/amd64" }), "no build for darwin/arm64"},
		{"one of no version", draft("1.2", nil), "want a semantic version"},
		{"another content", draft("1.1.0", func(d *sdk.Draft) { d.Files[0].Sha256 = make([]byte, 32) }), "is there with another"},
		{"what is no software", draft("1.2.0", func(d *sdk.Draft) { d.Metadata = nil }), ""},
	} {
		d := proto.Clone(step.draft).(*sdk.Draft)
		d.Earlier = earlier
		err := opened(t, state, &now).beforePublish(context.Background(), id, d)
		if step.why == "" && err != nil || step.why != "" && (err == nil || !strings.Contains(err.Error(), step.why)) {
			t.Errorf("%s: %v, want %q", step.what, err, step.why)
		}
	}
	strict := opened(t, state, &now, "signed=yes", "channels=aml://"+id)
	for what, why := range map[string]string{"1.2.0": "is not signed", "": "this channel is for software"} {
		d := draft("1.2.0", nil)
		if what == "" {
			d.Metadata = nil
		}
		if err := strict.beforePublish(context.Background(), id, d); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
}
