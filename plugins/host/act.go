package host

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"

	"google.golang.org/grpc"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/plugins"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

// ErrDenied: a plugin does not let a release be published.
var ErrDenied = errors.New("a plugin does not let it be published")

// Draft is a release before it is signed, as BeforePublish may change it.
type Draft struct {
	Title       string
	Description string
	Metadata    map[string]string
	Entries     []channel.FileEntry
	Remove      []string

	Earlier []Release // what the channel has, oldest first; not to be changed
}

// BeforePublish hands a draft to all plugins with that hook, one after another,
// each getting what the one before has made of it. Files can lose or change
// their attrs, or be left out; what is in them stays. One that denies, or does not
// answer, stops the publication. Whether what comes out is a valid release is
// for the publisher to check, as always.
func (h *Host) BeforePublish(ctx context.Context, id channel.ID, d Draft) (Draft, error) {
	members, err := h.with(ctx, plugins.BeforePublish)
	if err != nil {
		return Draft{}, err
	}
	for _, m := range members {
		if d, err = m.beforePublish(ctx, id, d); err != nil {
			return Draft{}, err
		}
	}
	return d, nil
}

func (m *member) beforePublish(ctx context.Context, id channel.ID, d Draft) (out Draft, err error) {
	req := &pluginv1.BeforePublishRequest{Draft: &pluginv1.Draft{Title: d.Title, Description: d.Description, Metadata: d.Metadata, Remove: d.Remove}}
	if !id.IsZero() {
		req.Channel = id.String()
	}
	for _, e := range d.Entries {
		req.Draft.Files = append(req.Draft.Files, &pluginv1.DraftFile{Name: e.Name, Size: e.Size, MediaType: e.MediaType, Sha256: e.SHA256[:], Attrs: e.Attrs})
	}
	for _, r := range d.Earlier {
		req.Draft.Earlier = append(req.Draft.Earlier, r.proto(false))
	}
	var denied error
	err = m.call(ctx, plugins.BeforePublish, 0, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		res, err := pluginv1.NewGateClient(conn).BeforePublish(ctx, req)
		if err != nil {
			return err
		}
		if err := plugins.CheckSaid(res.Reason, nil); err != nil {
			return err
		}
		if res.Deny {
			denied = fmt.Errorf("plugin %s: %w: %s", m.plugin.ID, ErrDenied, res.Reason)
			return nil
		}
		out, err = edited(d, res.Draft)
		return err
	})
	if err == nil {
		err = denied
	}
	return out, err
}

// edited applies a plugin's edit.
func edited(d Draft, e *pluginv1.Draft) (Draft, error) {
	if e == nil {
		return d, nil
	}
	was := map[string]channel.FileEntry{}
	for _, entry := range d.Entries {
		was[entry.Name] = entry
	}
	out := Draft{Title: e.Title, Description: e.Description, Metadata: e.Metadata, Remove: e.Remove, Earlier: d.Earlier}
	for _, f := range e.Files {
		entry, ok := was[f.GetName()]
		if !ok {
			return Draft{}, fmt.Errorf("%w: the edited draft has file %.80q, which was not in it or is there twice", plugins.ErrFailed, f.GetName())
		}
		delete(was, entry.Name)
		if string(f.Sha256) != string(entry.SHA256[:]) || f.Size != entry.Size {
			return Draft{}, fmt.Errorf("%w: the edited draft has another content of %q", plugins.ErrFailed, entry.Name)
		}
		entry.MediaType = f.MediaType
		if !maps.Equal(entry.Attrs, f.Attrs) {
			entry.Attrs = f.Attrs
		}
		out.Entries = append(out.Entries, entry)
	}
	return out, nil
}

// PublicKeys returns the keys that the plugin id signs with.
func (h *Host) PublicKeys(ctx context.Context, id string) ([]channel.PublicKey, error) {
	m, err := h.find(ctx, id, plugins.Sign)
	if err != nil {
		return nil, err
	}
	var out []channel.PublicKey
	err = m.call(ctx, plugins.Sign, 0, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		res, err := pluginv1.NewSignerClient(conn).PublicKeys(ctx, &pluginv1.PublicKeysRequest{})
		if err != nil {
			return err
		}
		for _, raw := range res.Keys {
			if len(raw) != len(channel.PublicKey{}) || len(out) == 1024 {
				return fmt.Errorf("%w: it lists what is no public key", plugins.ErrFailed)
			}
			key := channel.PublicKey(raw)
			if err := key.Check(); err != nil {
				return fmt.Errorf("%w: it lists what is no public key: %w", plugins.ErrFailed, err)
			}
			out = append(out, key)
		}
		return nil
	})
	return out, err
}

// Sign has the plugin id sign a message with one of its keys. The signature is
// verified.
func (h *Host) Sign(ctx context.Context, id string, key channel.PublicKey, message []byte) ([]byte, error) {
	m, err := h.find(ctx, id, plugins.Sign)
	if err != nil {
		return nil, err
	}
	var out []byte
	err = m.call(ctx, plugins.Sign, 0, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		res, err := pluginv1.NewSignerClient(conn).Sign(ctx, &pluginv1.SignRequest{Key: key[:], Message: message})
		if err != nil {
			return err
		}
		if len(res.Signature) != ed25519.SignatureSize || !ed25519.Verify(key[:], message, res.Signature) {
			return fmt.Errorf("%w: its signature does not verify", plugins.ErrFailed)
		}
		out = res.Signature
		return nil
	})
	return out, err
}
