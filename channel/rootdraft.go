package channel

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
)

// RootDraft is the next root of a channel on its way to enough signatures. It
// carries all roots before it, so that whoever signs it, on a machine that
// knows nothing and hears nobody, can check what it is the next root of. One
// that Parse or Check has accepted is signed rightly, if perhaps not by enough.
type RootDraft struct {
	Channel    ID          // that Before founds
	Root       Root        // the proposed one
	Signatures []Signature // of its payload; sorted by key
	Before     []HexBytes  // the envelopes of versions 1 to Root.Version-1
}

// NewRootDraft makes a draft of the root that follows those in before. It fills
// in version and predecessor, and sorts all lists of next. The error says what
// would make every honest node refuse it.
func NewRootDraft(before [][]byte, next Root) (RootDraft, error) {
	d := RootDraft{Root: next}
	for _, env := range before {
		d.Before = append(d.Before, env)
	}
	id, prev, err := d.walk()
	if err != nil {
		return RootDraft{}, err
	}
	payload, err := prev.Encode()
	if err != nil {
		return RootDraft{}, err
	}
	hash := HashPayload(payload)
	d.Channel, d.Root.Version, d.Root.Prev, d.Root.Nonce = id, prev.Version+1, &hash, nil
	d.Root.sort()
	return d, d.Check()
}

// sort brings every list of r into the order in which it is encoded.
func (r *Root) sort() {
	r.Topics = slices.Sorted(slices.Values(r.Topics))
	r.Root.Keys = slices.SortedFunc(slices.Values(r.Root.Keys), PublicKey.Compare)
	if r.Recovery != nil {
		r.Recovery = &KeySet{Keys: slices.SortedFunc(slices.Values(r.Recovery.Keys), PublicKey.Compare), Threshold: r.Recovery.Threshold}
	}
	r.Publishers = slices.SortedFunc(slices.Values(r.Publishers), func(a, b Publisher) int { return a.Key.Compare(b.Key) })
	r.Revoked = slices.SortedFunc(slices.Values(r.Revoked), func(a, b Revoked) int { return a.Key.Compare(b.Key) })
}

// walk verifies the roots before the draft, from the first on, and returns the
// channel that they are of and the newest of them.
func (d RootDraft) walk() (ID, Root, error) {
	if len(d.Before) == 0 {
		return ID{}, Root{}, fmt.Errorf("%w: the draft has no root before it; it must have all, from version 1 on", ErrMalformed)
	}
	if len(d.Before) > MaxRootsBefore {
		return ID{}, Root{}, fmt.Errorf("%w: the draft has %d roots before it, at most %d are allowed", ErrLimit, len(d.Before), MaxRootsBefore)
	}
	var id ID
	var prev *Root
	for i, data := range d.Before {
		env, err := DecodeEnvelope(data)
		var next Root
		if err == nil {
			next, err = VerifyRoot(env, prev)
		}
		if err == nil && prev != nil {
			err = next.keeps(*prev)
		}
		if err != nil {
			return ID{}, Root{}, fmt.Errorf("root version %d before the draft: %w", i+1, err)
		}
		if prev == nil {
			id = IDOf(env.Payload)
		}
		prev = &next
	}
	return id, *prev, nil
}

// keeps is Narrows as an error.
func (r Root) keeps(prev Root) error {
	key, what := r.Narrows(prev)
	if what == "" {
		return nil
	}
	return fmt.Errorf("%w: it %s of the publishing key %s; revoke that key, which says where its log ends, and let in a new one", ErrChain, what, key)
}

// Check checks the whole draft but whether enough have signed: the roots
// before it, that it may follow them, and that every signature verifies and is
// by a key that may sign it.
func (d RootDraft) Check() error {
	_, err := d.check()
	return err
}

func (d RootDraft) check() (prev Root, err error) {
	id, prev, err := d.walk()
	if err != nil {
		return Root{}, err
	}
	if id != d.Channel {
		return Root{}, fmt.Errorf("%w: the roots before the draft are of channel %s, the draft says %s", ErrChain, id.Short(), d.Channel.Short())
	}
	payload, err := d.Root.Encode()
	if err != nil {
		return Root{}, fmt.Errorf("the draft: %w", err)
	}
	if err := d.Root.checkFollows(prev); err != nil {
		return Root{}, fmt.Errorf("the draft, root version %d: %w", d.Root.Version, err)
	}
	if err := d.Root.keeps(prev); err != nil {
		return Root{}, fmt.Errorf("the draft, root version %d: %w", d.Root.Version, err)
	}
	return prev, d.checkSignatures(prev, payload)
}

func (d RootDraft) checkSignatures(prev Root, payload []byte) error {
	if len(d.Signatures) > MaxSignatures {
		return fmt.Errorf("%w: %d signatures, at most %d are allowed", ErrLimit, len(d.Signatures), MaxSignatures)
	}
	message := PAE(TypeRoot, payload)
	for i, s := range d.Signatures {
		switch {
		case s.Key.Check() != nil || len(s.Sig) != ed25519.SignatureSize || !ed25519.Verify(s.Key[:], message, s.Sig):
			return fmt.Errorf("%w: by key %s; was the draft changed after it was signed? Draft and sign it again", ErrSignature, s.Key.Short())
		case i > 0 && d.Signatures[i-1].Key.Compare(s.Key) >= 0:
			return fmt.Errorf("%w: signatures do not ascend by key", ErrMalformed)
		case !d.maySign(prev, s.Key):
			return d.foreign(s.Key)
		}
	}
	return nil
}

func (d RootDraft) maySign(prev Root, key PublicKey) bool {
	return slices.ContainsFunc(d.Root.signersAfter(prev), func(s KeySet) bool { return s.contains(key) })
}

func (d RootDraft) foreign(key PublicKey) error {
	return fmt.Errorf("%w: key %s is neither a root key of version %d or %d nor a recovery key of version %d; with its signature nobody would accept the root",
		ErrNotAuthorized, key, d.Root.Version-1, d.Root.Version, d.Root.Version-1)
}

// Sign returns the draft with signatures of keys added. A key that may not sign
// it gives ErrNotAuthorized; one that has signed already changes nothing.
func (d RootDraft) Sign(keys ...PrivateKey) (RootDraft, error) {
	prev, err := d.check()
	if err != nil {
		return RootDraft{}, err
	}
	for _, key := range keys {
		if !d.maySign(prev, key.Public()) {
			return RootDraft{}, d.foreign(key.Public())
		}
		env, err := d.Root.Sign(key)
		if err != nil {
			return RootDraft{}, err
		}
		d.Signatures = addSignature(d.Signatures, env.Signatures[0])
	}
	return d, nil
}

func addSignature(to []Signature, s Signature) []Signature {
	i, there := slices.BinarySearchFunc(to, s.Key, func(s Signature, k PublicKey) int { return s.Key.Compare(k) })
	if there {
		return to
	}
	return slices.Insert(slices.Clone(to), i, s)
}

// Merge returns the draft with the signatures of other copies of it. Another
// draft gives ErrChain.
func (d RootDraft) Merge(others ...RootDraft) (RootDraft, error) {
	payload, err := d.Root.Encode()
	if err != nil {
		return RootDraft{}, err
	}
	for _, other := range others {
		theirs, err := other.Root.Encode()
		if err != nil {
			return RootDraft{}, err
		}
		if d.Channel != other.Channel || !slices.Equal(payload, theirs) {
			return RootDraft{}, fmt.Errorf("%w: they are of different roots; only copies of one draft can be put together", ErrChain)
		}
		for _, s := range other.Signatures {
			d.Signatures = addSignature(d.Signatures, s)
		}
	}
	return d, d.Check()
}

// Previous returns the root that the draft is to follow.
func (d RootDraft) Previous() (Root, error) { return d.check() }

// Missing says in words whose signatures are still needed, nothing when the
// draft can be published.
func (d RootDraft) Missing() ([]string, error) {
	prev, err := d.check()
	if err != nil {
		return nil, err
	}
	signers := Envelope{Signatures: d.Signatures}.Signers()
	var out []string
	if !prev.metFor(signers) {
		words := prev.Root.lacks(signers, fmt.Sprintf("root keys of version %d", prev.Version))
		if prev.Recovery != nil {
			words += "; or " + prev.Recovery.lacks(signers, fmt.Sprintf("recovery keys of version %d", prev.Version))
		}
		out = append(out, words)
	}
	if !d.Root.Root.metBy(signers) && (len(out) == 0 || !slices.Equal(d.Root.Root.Keys, prev.Root.Keys) || d.Root.Root.Threshold != prev.Root.Threshold) {
		out = append(out, d.Root.Root.lacks(signers, fmt.Sprintf("root keys of version %d, the draft's own", d.Root.Version)))
	}
	return out, nil
}

// lacks says how many signatures of a set are missing, and whose would do.
func (s KeySet) lacks(signers []PublicKey, what string) string {
	var open []PublicKey
	for _, k := range s.Keys {
		if !slices.Contains(signers, k) {
			open = append(open, k)
		}
	}
	have := uint64(len(s.Keys) - len(open))
	words := fmt.Sprintf("%d of the %s", s.Threshold-min(have, s.Threshold), what)
	for i, k := range open {
		words += map[bool]string{true: ": ", false: ", "}[i == 0] + k.String()
	}
	return words
}

// Envelope returns the root with its signatures, encoded. Without enough of
// them the error wraps ErrNotAuthorized and says whose are missing.
func (d RootDraft) Envelope() ([]byte, error) {
	missing, err := d.Missing()
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		errs := make([]error, len(missing))
		for i, m := range missing {
			errs[i] = fmt.Errorf("%w: it lacks signatures by %s", ErrNotAuthorized, m)
		}
		return nil, fmt.Errorf("root version %d: %w", d.Root.Version, errors.Join(errs...))
	}
	payload, err := d.Root.Encode()
	if err != nil {
		return nil, err
	}
	env := Envelope{Type: TypeRoot, Payload: payload, Signatures: d.Signatures}
	prev, err := d.check()
	if err != nil {
		return nil, err
	}
	if _, err := VerifyRoot(env, &prev); err != nil {
		return nil, err
	}
	return EncodeEnvelope(env)
}
