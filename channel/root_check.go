package channel

import (
	"fmt"
	"slices"
)

// nonceSize is the length of a version 1's nonce in bytes.
const nonceSize = 16

// Encode returns the payload: the one encoding of r, after Validate.
func (r Root) Encode() ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("encoding root: %w", err)
	}
	return encodePayload("root", r, MaxRoot)
}

// Sign encodes r and signs it with all keys.
func (r Root) Sign(keys ...PrivateKey) (Envelope, error) {
	return signPayload(TypeRoot, r.Encode, keys)
}

// DecodeRoot reads what Encode writes and nothing else.
func DecodeRoot(payload []byte) (Root, error) {
	var r Root
	if err := decodePayload("root", payload, MaxRoot, &r); err != nil {
		return Root{}, err
	}
	if err := r.Validate(); err != nil {
		return Root{}, fmt.Errorf("decoding root: %w", err)
	}
	return r, nil
}

// Validate checks every rule that a root must keep by itself; VerifyRoot
// checks the rest.
func (r Root) Validate() error {
	if err := checkFormat(r.Format); err != nil {
		return err
	}
	if err := r.checkVersion(); err != nil {
		return err
	}
	if err := checkTopics(r.Topics); err != nil {
		return err
	}
	if err := checkLine("title", r.Title, MaxTitle); err != nil {
		return err
	}
	if err := r.Class.check(); err != nil {
		return err
	}
	if err := r.Kind.check(); err != nil {
		return err
	}
	if err := r.Root.check("root keys"); err != nil {
		return err
	}
	if err := r.checkRecovery(); err != nil {
		return err
	}
	if err := r.Expires.check("expiry"); err != nil {
		return err
	}
	if err := checkPublishers(r.Publishers); err != nil {
		return err
	}
	return r.checkRevoked()
}

func (r Root) checkVersion() error {
	if r.Version == 0 {
		return fmt.Errorf("%w: root version 0; they count from 1", ErrChain)
	}
	if r.Version == 1 {
		if len(r.Nonce) != nonceSize {
			return fmt.Errorf("%w: nonce of version 1 has %d bytes, want %d", ErrMalformed, len(r.Nonce), nonceSize)
		}
		if r.Prev != nil {
			return fmt.Errorf("%w: root version 1 has a predecessor", ErrChain)
		}
		return nil
	}
	if len(r.Nonce) != 0 {
		return fmt.Errorf("%w: root version %d has a nonce", ErrMalformed, r.Version)
	}
	if r.Prev == nil {
		return fmt.Errorf("%w: root version %d names no predecessor", ErrChain, r.Version)
	}
	return nil
}

func checkTopics(topics []string) error {
	if len(topics) == 0 {
		return fmt.Errorf("%w: no topic", ErrMalformed)
	}
	if len(topics) > MaxTopics {
		return fmt.Errorf("%w: %d topics, at most %d are allowed", ErrLimit, len(topics), MaxTopics)
	}
	for i, t := range topics {
		if err := ValidTopic(t); err != nil {
			return err
		}
		if i > 0 && topics[i-1] >= t {
			return fmt.Errorf("%w: topics do not ascend at %q", ErrMalformed, t)
		}
	}
	return nil
}

func (s KeySet) check(what string) error {
	if len(s.Keys) == 0 {
		return fmt.Errorf("%w: no %s", ErrMalformed, what)
	}
	if len(s.Keys) > MaxRootKeys {
		return fmt.Errorf("%w: %d %s, at most %d are allowed", ErrLimit, len(s.Keys), what, MaxRootKeys)
	}
	for i, k := range s.Keys {
		if err := k.Check(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if i > 0 && s.Keys[i-1].Compare(k) >= 0 {
			return fmt.Errorf("%w: %s do not ascend", ErrMalformed, what)
		}
	}
	if s.Threshold < 1 || s.Threshold > uint64(len(s.Keys)) {
		return fmt.Errorf("%w: threshold %d of %d %s", ErrMalformed, s.Threshold, len(s.Keys), what)
	}
	return nil
}

// contains reports whether k is one of the set.
func (s KeySet) contains(k PublicKey) bool { return slices.Contains(s.Keys, k) }

// metBy reports whether a threshold of the set is among signers, which are
// distinct.
func (s KeySet) metBy(signers []PublicKey) bool {
	n := uint64(0)
	for _, k := range signers {
		if s.contains(k) {
			n++
		}
	}
	return n >= s.Threshold
}

// checkRecovery checks that recovery keys are other keys than the root's: a
// root key in both would count for a threshold it was not given for.
func (r Root) checkRecovery() error {
	if r.Recovery == nil {
		return nil
	}
	if err := r.Recovery.check("recovery keys"); err != nil {
		return err
	}
	for _, k := range r.Recovery.Keys {
		if r.Root.contains(k) {
			return fmt.Errorf("%w: key %s is both a root and a recovery key", ErrMalformed, k.Short())
		}
	}
	return nil
}

func checkPublishers(publishers []Publisher) error {
	if len(publishers) > MaxPublishers {
		return fmt.Errorf("%w: %d publishers, at most %d are allowed", ErrLimit, len(publishers), MaxPublishers)
	}
	for i, p := range publishers {
		if i > 0 && publishers[i-1].Key.Compare(p.Key) >= 0 {
			return fmt.Errorf("%w: publishers do not ascend by key", ErrMalformed)
		}
		if err := p.check(); err != nil {
			return fmt.Errorf("publisher %s: %w", p.Key.Short(), err)
		}
	}
	return nil
}

func (p Publisher) check() error {
	if err := p.Key.Check(); err != nil {
		return err
	}
	if err := p.Role.check(); err != nil {
		return err
	}
	if p.Expires != 0 {
		if err := p.Expires.check("expiry"); err != nil {
			return err
		}
	}
	if err := CheckPublisherName(p.Name); err != nil {
		return err
	}
	if p.Role == RoleHead && len(p.Scopes) > 0 {
		return fmt.Errorf("%w: a head key has scopes; it names no paths", ErrMalformed)
	}
	if len(p.Scopes) > MaxScopes {
		return fmt.Errorf("%w: %d scopes, at most %d are allowed", ErrLimit, len(p.Scopes), MaxScopes)
	}
	for i, s := range p.Scopes {
		if err := ValidName(s); err != nil {
			return fmt.Errorf("scope: %w", err)
		}
		if i > 0 && p.Scopes[i-1] >= s {
			return fmt.Errorf("%w: scopes do not ascend at %q", ErrMalformed, clip(s))
		}
	}
	return nil
}

func (r Root) checkRevoked() error {
	if len(r.Revoked) > MaxRevoked {
		return fmt.Errorf("%w: %d revoked keys, at most %d are allowed", ErrLimit, len(r.Revoked), MaxRevoked)
	}
	if r.Version == 1 && len(r.Revoked) > 0 {
		return fmt.Errorf("%w: root version 1 revokes keys; there are none before it", ErrChain)
	}
	for i, v := range r.Revoked {
		if err := v.Key.Check(); err != nil {
			return fmt.Errorf("revoked key: %w", err)
		}
		if i > 0 && r.Revoked[i-1].Key.Compare(v.Key) >= 0 {
			return fmt.Errorf("%w: revoked keys do not ascend", ErrMalformed)
		}
		if (v.Seq == 0) != v.Hash.IsZero() {
			return fmt.Errorf("%w: revoked key %s: sequence number and hash disagree about whether there is a last good manifest", ErrMalformed, v.Key.Short())
		}
		if _, ok := r.Publisher(v.Key); ok {
			return fmt.Errorf("%w: key %s is both a publisher and revoked", ErrMalformed, v.Key.Short())
		}
	}
	return nil
}

// Publisher returns the publisher with this key.
func (r Root) Publisher(key PublicKey) (Publisher, bool) {
	i, ok := slices.BinarySearchFunc(r.Publishers, key, func(p Publisher, k PublicKey) int { return p.Key.Compare(k) })
	if !ok {
		return Publisher{}, false
	}
	return r.Publishers[i], true
}

// RevokedKey returns the revocation of this key.
func (r Root) RevokedKey(key PublicKey) (Revoked, bool) {
	i, ok := slices.BinarySearchFunc(r.Revoked, key, func(v Revoked, k PublicKey) int { return v.Key.Compare(k) })
	if !ok {
		return Revoked{}, false
	}
	return r.Revoked[i], true
}

// MayName reports whether the publisher's scopes let it name this file, in an
// entry or a removal.
func (p Publisher) MayName(name string) bool {
	return p.Role == RolePublish && (len(p.Scopes) == 0 ||
		slices.ContainsFunc(p.Scopes, func(scope string) bool { return under(name, scope) }))
}
