package publisher

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/keyfile"
)

// CreateSpec founds a channel.
type CreateSpec struct {
	Topics []string // in normal form; the first is the one that it is found again by
	Title  string
	By     string             // what the publishing key is called; if empty, nothing. Not of a private channel
	Kind   channel.Kind       // if empty, channel.Media
	Class  channel.Class      // if empty, channel.Public; the title of a private one is kept from its root
	Key    channel.PrivateKey // that will publish
	// KeyFile is where Key lies, for RenewHeads to load it.
	KeyFile string
	// KeyDir is the folder that the root key is written to; made if missing.
	KeyDir string
}

// Created is a new channel.
type Created struct {
	Channel     channel.ID
	Topics      []string        // sorted
	ReadKey     channel.ReadKey // of a private channel: what its address carries
	RootKeyFile string          // KeyDir/root-<short id>.pem: needed to change who may publish, and for nothing else
}

// Create founds a channel: a root key of its own is made and written,
// version 1 of the root signed and recorded as one's own. If the key publishes
// a channel that is listed on the first topic already, ErrExists names it. The root key is
// on disk before the channel is: there is never a channel that nobody can
// rule.
func (p *Publisher) Create(ctx context.Context, spec CreateSpec) (Created, error) {
	if len(spec.Topics) == 0 {
		return Created{}, fmt.Errorf("creating a channel: %w: no topic", channel.ErrMalformed)
	}
	release, err := p.turns.take(ctx, logKey{key: spec.Key.Public()})
	if err != nil {
		return Created{}, err
	}
	defer release()
	topic := spec.Topics[0]
	switch own, err := p.cfg.Ledger.OwnByTopic(ctx, topic, spec.Key.Public()); {
	case err == nil:
		return Created{}, fmt.Errorf("creating a channel under %q: %w: %s", topic, ErrExists, channel.Address{ID: own.Channel})
	case errors.Is(err, catalog.ErrSeveral):
		return Created{}, fmt.Errorf("creating a channel: %w: %w", ErrExists, err)
	case !errors.Is(err, fs.ErrNotExist):
		return Created{}, fmt.Errorf("creating a channel under %q: %w", topic, err)
	}
	created, err := p.found(ctx, spec)
	if err != nil {
		return Created{}, fmt.Errorf("creating a channel under %q: %w", topic, err)
	}
	return created, nil
}

func (p *Publisher) found(ctx context.Context, spec CreateSpec) (Created, error) {
	rootKey, err := channel.GenerateKey()
	if err != nil {
		return Created{}, err
	}
	root, err := p.firstRoot(spec, rootKey.Public())
	if err != nil {
		return Created{}, err
	}
	env, err := root.Sign(rootKey)
	if err != nil {
		return Created{}, err
	}
	data, err := channel.EncodeEnvelope(env)
	if err != nil {
		return Created{}, err
	}
	id := channel.IDOf(env.Payload)
	if err := os.MkdirAll(spec.KeyDir, 0o700); err != nil {
		return Created{}, fmt.Errorf("making the folder of keys: %w", err)
	}
	file := filepath.Join(spec.KeyDir, "root-"+id.Short()+".pem")
	if err := keyfile.Write(file, rootKey); err != nil {
		return Created{}, err
	}
	p.give(id, spec.Key.Public(), 0, channel.Hash{})
	p.give(id, theRoot, 1, env.Hash())
	own := catalog.Own{Channel: id, Topic: spec.Topics[0], Key: spec.Key.Public(), KeyFile: spec.KeyFile, RootKeyFile: file}
	created := Created{Channel: id, Topics: root.Topics, RootKeyFile: file}
	if root.Class == channel.Private {
		created.ReadKey = newReadKey()
		err = p.cfg.Ledger.FoundPrivate(ctx, own, catalog.ReadKey{Epoch: 1, Key: created.ReadKey, Title: spec.Title}, data)
	} else {
		err = p.cfg.Ledger.Found(ctx, own, data)
	}
	if err != nil {
		if _, known := p.cfg.Ledger.Channel(context.WithoutCancel(ctx), id); errors.Is(known, fs.ErrNotExist) {
			err = errors.Join(err, os.Remove(file)) // a key for nothing
		}
		return Created{}, err
	}
	return created, nil
}

// firstRoot is version 1: one root key, one publishing key without bounds.
func (p *Publisher) firstRoot(spec CreateSpec, rootKey channel.PublicKey) (channel.Root, error) {
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return channel.Root{}, fmt.Errorf("drawing a nonce: %w", err)
	}
	kind := spec.Kind
	if kind == "" {
		kind = channel.Media
	}
	class, title := spec.Class, spec.Title
	switch class {
	case "":
		class = channel.Public
	case channel.Private:
		title = "" // the root is in clear
		if spec.By != "" {
			return channel.Root{}, errNamedInClear
		}
	}
	topics := slices.Clone(spec.Topics)
	slices.Sort(topics)
	return channel.Root{
		Format: 1, Version: 1, Topics: slices.Compact(topics), Title: title, Class: class, Kind: kind,
		Root:       channel.KeySet{Keys: []channel.PublicKey{rootKey}, Threshold: 1},
		Publishers: []channel.Publisher{{Key: spec.Key.Public(), Role: channel.RolePublish, Name: spec.By}},
		Expires:    channel.TimeOf(p.cfg.Now().Add(p.cfg.RootLife)),
		Nonce:      nonce,
	}, nil
}
