package updates

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/anonymous-media-library/aml/plugins/sdk"
	"github.com/anonymous-media-library/aml/updates"
)

// A TUF repository (theupdateframework.github.io/specification) out of what a channel
// says. Each document is worked out by itself, and they fit each other: all but the
// timestamp follow from the channel and the edition that the plugin remembers, and Ed25519
// signs them to the same bytes each time. The timestamp says every hour anew that this is
// the newest.

const (
	rootLife      = 10 * 365 * 24 * time.Hour
	targetsLife   = 365 * 24 * time.Hour
	timestampLife = 2 * 24 * time.Hour
	// timestampStep is how often the timestamp gets a new version.
	timestampStep = time.Hour
)

// roles are those of TUF; each has a key.
var roles = []string{metadata.ROOT, metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS}

// document is one that is signed.
type document interface {
	Sign(signer signature.Signer) (*metadata.Signature, error)
	ToBytes(pretty bool) ([]byte, error)
}

// tuf writes the document of a format.
func (p *plugin) tuf(w io.Writer, start *sdk.RenderStart, all []updates.Release) (string, error) {
	now := p.now()
	signers, made, err := p.keys.load(now)
	if err != nil {
		return "", err
	}
	root, err := tufRoot(signers, made)
	if err != nil {
		return "", err
	}
	targets := metadata.Targets(time.Unix(0, 0).UTC())
	for _, r := range all {
		if r.Rollout < 100 {
			continue // as with an appcast
		}
		for _, b := range r.Builds {
			custom, err := json.Marshal(map[string]string{"platform": b.Platform, "track": r.Track, "version": r.Version})
			if err != nil {
				return "", err
			}
			file := metadata.TargetFile()
			file.Length, file.Hashes = int64(b.Entry.Size), metadata.Hashes{"sha256": b.Entry.SHA256[:]}
			file.Custom = (*json.RawMessage)(&custom)
			targets.Signed.Targets[b.Entry.Name] = file
		}
	}
	listed, err := targets.ToBytes(false)
	if err != nil {
		return "", err
	}
	edition, err := p.editions.of(start.Channel, sha256.Sum256(listed), now)
	if err != nil {
		return "", err
	}
	version, expires := edition.Version, time.Unix(edition.Made, 0).Add(targetsLife).UTC()
	targets.Signed.Version, targets.Signed.Expires = version, expires
	targetsText, err := signed(targets, signers[metadata.TARGETS])
	if err != nil {
		return "", err
	}
	snapshot := metadata.Snapshot(expires)
	snapshot.Signed.Version = version
	snapshot.Signed.Meta["targets.json"] = metaFile(version, targetsText)
	snapshotText, err := signed(snapshot, signers[metadata.SNAPSHOT])
	if err != nil {
		return "", err
	}
	timestamp := metadata.Timestamp(now.Add(timestampLife).UTC().Truncate(time.Second))
	timestamp.Signed.Version = max(version, now.Truncate(timestampStep).Unix())
	timestamp.Signed.Meta["snapshot.json"] = metaFile(version, snapshotText)

	var text []byte
	switch start.Format {
	case "tuf-root":
		text, err = signed(root, signers[metadata.ROOT])
	case "tuf-targets":
		text = targetsText
	case "tuf-snapshot":
		text = snapshotText
	case "tuf-timestamp":
		text, err = signed(timestamp, signers[metadata.TIMESTAMP])
	default:
		err = fmt.Errorf("format %q is none", start.Format)
	}
	if err != nil {
		return "", err
	}
	_, err = w.Write(text)
	return "application/json", err
}

func metaFile(version int64, text []byte) *metadata.MetaFiles {
	m := metadata.MetaFile(version)
	sum := sha256.Sum256(text)
	m.Length, m.Hashes = int64(len(text)), metadata.Hashes{"sha256": sum[:]}
	return m
}

func tufRoot(signers map[string]ed25519.PrivateKey, made time.Time) (*metadata.Metadata[metadata.RootType], error) {
	root := metadata.Root(made.Add(rootLife).UTC().Truncate(time.Second))
	root.Signed.ConsistentSnapshot = false
	for _, role := range roles {
		key, err := metadata.KeyFromPublicKey(signers[role].Public())
		if err != nil {
			return nil, err
		}
		if err := root.Signed.AddKey(key, role); err != nil {
			return nil, err
		}
	}
	return root, nil
}

func signed(d document, key ed25519.PrivateKey) ([]byte, error) {
	signer, err := signature.LoadSigner(key, crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	if _, err := d.Sign(signer); err != nil {
		return nil, err
	}
	return d.ToBytes(false)
}
