package natsbridge

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func TestTheEventOfAPrivateChannelIsNothingButNumbers(t *testing.T) {
	t.Parallel()
	url := startServer(t, t.TempDir(), nil).ClientURL()
	c := channeltest.NewChannel(t, "c")
	b, err := New(newSite(t, "at", c.ID).config(url))
	if err != nil {
		t.Fatal(err)
	}
	nc, _ := client(t, url)
	events, err := nc.SubscribeSync(b.names.of(kindEvent, c.ID))
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	(&session{b: b, c: dialTest(t, url)}).view(catalog.Info{ID: c.ID}, channel.Manifest{
		Format: 1, Channel: c.ID, Root: 1, Log: c.Key(), Epoch: 1, Seq: 1, Issued: 1, Sealed: []byte("sealed words"), Inventory: &blobnet.ID{1, 2, 3},
	})
	m, err := events.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(m.Data, &got); err != nil {
		t.Fatal(err)
	}
	want := "address channel epoch event hash issued log more network private seq"
	if keys := strings.Join(slices.Sorted(maps.Keys(got)), " "); keys != want || got["private"] != true {
		t.Errorf("it says %s, not %s: %s", keys, want, m.Data)
	}
	if strings.Contains(string(m.Data), "sealed words") {
		t.Errorf("it holds what is sealed: %s", m.Data)
	}
}
