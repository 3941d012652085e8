package host

import (
	"github.com/anonymous-media-library/aml/channel"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

// Release is a verified manifest and its body, as hooks are asked about it.
type Release struct {
	Channel channel.ID
	Kind    channel.Kind
	Log     channel.PublicKey
	Epoch   uint64
	Seq     uint64
	Hash    channel.Hash
	Issued  channel.Time
	Body    *channel.Body
}

// Update reports whether silence about it means no.
func (r Release) Update() bool { return r.Kind == channel.Update }

func kindOf(k channel.Kind) pluginv1.Kind {
	switch k {
	case channel.Media:
		return pluginv1.Kind_KIND_MEDIA
	case channel.Update:
		return pluginv1.Kind_KIND_UPDATE
	}
	return pluginv1.Kind_KIND_UNSPECIFIED
}

// proto is the release for a plugin that has the keys, or has not.
func (r Release) proto(keys bool) *pluginv1.Release {
	out := &pluginv1.Release{
		Channel: r.Channel.String(), Kind: kindOf(r.Kind), Log: r.Log[:], Epoch: r.Epoch, Seq: r.Seq, Hash: r.Hash[:], Issued: int64(r.Issued),
	}
	if r.Body == nil {
		return out
	}
	out.Title, out.Description, out.Metadata = r.Body.Title, r.Body.Description, r.Body.Metadata
	entries := make([]pluginv1.Entry, len(r.Body.Entries))
	for i := range r.Body.Entries {
		fillEntry(&entries[i], &r.Body.Entries[i], keys)
		out.Entries = append(out.Entries, &entries[i])
	}
	for _, removal := range r.Body.Removals {
		out.Removals = append(out.Removals, removal.Name)
	}
	return out
}

func fillEntry(out *pluginv1.Entry, e *channel.FileEntry, keys bool) {
	out.Name, out.Size, out.MediaType, out.Sha256, out.Mode = e.Name, e.Size, e.MediaType, e.SHA256[:], e.Mode
	out.Modified, out.Attrs, out.Root = int64(e.Modified), e.Attrs, e.Root.ID[:]
	if keys {
		out.Key = e.Root.Key[:]
	}
}
