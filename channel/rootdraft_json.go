package channel

import (
	"encoding/json"
	"fmt"
	"slices"
)

// rootDraftJSON is the JSON of a RootDraft, in the order in which it is
// written: what a person looks at first.
type rootDraftJSON struct {
	Version    int         `json:"version"`
	Channel    ID          `json:"channel"`
	Root       Root        `json:"root"`
	Signatures []Signature `json:"signatures"`
	Before     []HexBytes  `json:"before"`
}

// MarshalJSON writes the draft with "version": 1.
func (d RootDraft) MarshalJSON() ([]byte, error) {
	if d.Signatures == nil {
		d.Signatures = []Signature{}
	}
	if d.Root.Publishers == nil {
		d.Root.Publishers = []Publisher{}
	}
	return json.Marshal(rootDraftJSON{jsonVersion, d.Channel, d.Root, d.Signatures, d.Before})
}

// UnmarshalJSON is ParseRootDraft in place.
func (d *RootDraft) UnmarshalJSON(data []byte) (err error) {
	*d, err = ParseRootDraft(data)
	return err
}

// ParseRootDraft reads what MarshalJSON writes, of at most MaxJSON bytes, and
// checks it as Check does. Errors of the JSON say the line, the column and the
// field.
func ParseRootDraft(data []byte) (RootDraft, error) {
	var d RootDraft
	err := readJSON("root draft", data, func(r *jsonReader) error {
		v, present, err := r.version()
		if err != nil {
			return err
		}
		if !present {
			return r.errorf(ErrVersion, `field "version" is missing, want 1`)
		}
		if v != jsonVersion {
			return r.errorf(ErrVersion, `field "version" is %d, want 1`, v)
		}
		return r.fields([]string{"channel", "root", "signatures", "before"}, func(key string) (err error) {
			switch key {
			case "version":
				r.skip()
			case "channel":
				err = r.into(&d.Channel)
			case "root":
				d.Root, err = readRoot(r)
			case "signatures":
				err = r.list(MaxSignatures, func() error {
					s, err := readSignature(r)
					d.Signatures = append(d.Signatures, s)
					return err
				})
			case "before":
				err = r.list(MaxRootsBefore, func() error {
					var env HexBytes
					err := r.into(&env)
					d.Before = append(d.Before, env)
					return err
				})
			default:
				err = r.unknown(key)
			}
			return err
		})
	})
	if err != nil {
		return RootDraft{}, err
	}
	if err := d.Check(); err != nil {
		return RootDraft{}, fmt.Errorf("reading root draft: %w", err)
	}
	return d, nil
}

// fields reads an object of which the required fields must all be there.
func (r *jsonReader) fields(required []string, field func(key string) error) error {
	if r.peek() != '{' {
		return r.want("an object")
	}
	at := r.pos
	var have []string
	err := r.object(func(key string) error {
		have = append(have, key)
		return field(key)
	})
	if err != nil {
		return err
	}
	for _, key := range required {
		if !slices.Contains(have, key) {
			r.pos = at
			return r.errorf(ErrMalformed, "field %q is missing", key)
		}
	}
	return nil
}

// list reads an array of at most most items.
func (r *jsonReader) list(most int, item func() error) error {
	return r.array(func(i int) error {
		if i == most {
			return r.errorf(ErrLimit, "more than %d items", most)
		}
		return item()
	})
}

// keys reads an array of public keys.
func (r *jsonReader) keys(most int) (keys []PublicKey, err error) {
	err = r.list(most, func() error {
		var k PublicKey
		err := r.into(&k)
		keys = append(keys, k)
		return err
	})
	return keys, err
}

// readRoot reads the JSON of a Root, whose rules Validate checks.
func readRoot(r *jsonReader) (Root, error) {
	var root Root
	at := r.pos
	err := r.fields([]string{"format", "version", "topics", "title", "class", "kind", "root", "publishers", "expires"}, func(key string) error {
		return readRootField(r, key, &root)
	})
	if err == nil {
		err = r.checked(at, root.Validate())
	}
	return root, err
}

func readRootField(r *jsonReader, key string, root *Root) (err error) {
	var s string
	switch key {
	case "format":
		root.Format, err = r.uint(1 << 53)
	case "version":
		root.Version, err = r.uint(1 << 53)
	case "topics":
		err = r.list(MaxTopics, func() error {
			t, err := r.text()
			root.Topics = append(root.Topics, t)
			return err
		})
	case "title":
		root.Title, err = r.text()
	case "class":
		s, err = r.text()
		root.Class = Class(s)
	case "kind":
		s, err = r.text()
		root.Kind = Kind(s)
	case "root":
		root.Root, err = readKeySet(r)
	case "publishers":
		err = r.list(MaxPublishers, func() error {
			p, err := readPublisher(r)
			root.Publishers = append(root.Publishers, p)
			return err
		})
	case "recovery":
		root.Recovery = new(KeySet)
		*root.Recovery, err = readKeySet(r)
	case "expires":
		err = r.into(&root.Expires)
	case "nonce":
		err = r.into(&root.Nonce)
	case "prev":
		root.Prev = new(Hash)
		err = r.into(root.Prev)
	case "revoked":
		err = r.list(MaxRevoked, func() error {
			v, err := readRevoked(r)
			root.Revoked = append(root.Revoked, v)
			return err
		})
	default:
		err = r.unknown(key)
	}
	return err
}

func readKeySet(r *jsonReader) (s KeySet, err error) {
	err = r.fields([]string{"keys", "threshold"}, func(key string) (err error) {
		switch key {
		case "keys":
			s.Keys, err = r.keys(MaxRootKeys)
		case "threshold":
			s.Threshold, err = r.uint(1 << 53)
		default:
			err = r.unknown(key)
		}
		return err
	})
	return s, err
}

func readPublisher(r *jsonReader) (p Publisher, err error) {
	err = r.fields([]string{"key", "role"}, func(key string) (err error) {
		var s string
		switch key {
		case "key":
			err = r.into(&p.Key)
		case "role":
			s, err = r.text()
			p.Role = Role(s)
		case "scopes":
			err = r.list(MaxScopes, func() error {
				s, err := r.text()
				p.Scopes = append(p.Scopes, s)
				return err
			})
		case "expires":
			err = r.into(&p.Expires)
		case "name":
			p.Name, err = r.text()
		default:
			err = r.unknown(key)
		}
		return err
	})
	return p, err
}

func readRevoked(r *jsonReader) (v Revoked, err error) {
	err = r.fields([]string{"key", "seq", "hash"}, func(key string) (err error) {
		switch key {
		case "key":
			err = r.into(&v.Key)
		case "seq":
			v.Seq, err = r.uint(1 << 53)
		case "hash":
			err = r.into(&v.Hash)
		default:
			err = r.unknown(key)
		}
		return err
	})
	return v, err
}

func readSignature(r *jsonReader) (s Signature, err error) {
	err = r.fields([]string{"key", "sig"}, func(key string) (err error) {
		switch key {
		case "key":
			err = r.into(&s.Key)
		case "sig":
			err = r.into(&s.Sig)
		default:
			err = r.unknown(key)
		}
		return err
	})
	return s, err
}
