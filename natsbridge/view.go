package natsbridge

import (
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// maxViewed bounds the entries in one view of a release.
const maxViewed = 100

// View is the JSON that other people's services read on event.<channel>: a
// release that the ledger has taken in. It is not signed, comes at most once, and
// says of a private channel no more than everybody sees.
type View struct {
	Event    string      `json:"event"` // "release"
	Network  string      `json:"network"`
	Channel  string      `json:"channel"`
	Address  string      `json:"address"`
	Log      string      `json:"log"`
	Epoch    uint64      `json:"epoch"`
	Seq      uint64      `json:"seq"`
	Hash     string      `json:"hash"` // of the manifest
	Issued   time.Time   `json:"issued"`
	Private  bool        `json:"private"`
	Title    string      `json:"title,omitempty"`
	Entries  []ViewEntry `json:"entries,omitempty"`  // at most 100, of a body that lies in the manifest
	Removals []string    `json:"removals,omitempty"` // the same
	More     bool        `json:"more"`               // than the lists show
}

// ViewEntry is a file of a release, without the key that opens it.
type ViewEntry struct {
	Name      string `json:"name"`
	Size      uint64 `json:"size"`
	MediaType string `json:"mediaType,omitempty"`
	SHA256    string `json:"sha256"`
}

// view tells other people's services of a release. Nobody waits for it.
func (s *session) view(info catalog.Info, m channel.Manifest) {
	payload, err := m.Encode()
	if err != nil {
		return
	}
	hash := channel.HashPayload(payload)
	v := View{
		Event: "release", Network: s.b.cfg.Network, Channel: info.ID.String(), Address: channel.Address{ID: info.ID}.String(), Log: m.Log.String(),
		Epoch: m.Epoch, Seq: m.Seq, Hash: hash.String(), Issued: m.Issued.Time().UTC(), Private: m.Body == nil && m.BodyRef == nil, More: m.Body == nil,
	}
	if m.Body != nil {
		v.Title = m.Body.Title
		v.More = len(m.Body.Entries) > maxViewed || len(m.Body.Removals) > maxViewed
		for _, e := range m.Body.Entries[:min(len(m.Body.Entries), maxViewed)] {
			v.Entries = append(v.Entries, ViewEntry{Name: e.Name, Size: e.Size, MediaType: e.MediaType, SHA256: e.SHA256.String()})
		}
		for _, r := range m.Body.Removals[:min(len(m.Body.Removals), maxViewed)] {
			v.Removals = append(v.Removals, r.Name)
		}
	}
	data, err := json.Marshal(v)
	if err != nil {
		return
	}
	msg := &nats.Msg{Subject: s.b.names.of(kindEvent, info.ID), Data: data, Header: nats.Header{}}
	msg.Header.Set(headerID, "release-"+hash.String())
	_ = s.c.nc.PublishMsg(msg) // at most once, and says so
}
