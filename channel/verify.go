package channel

import (
	"fmt"
	"slices"
	"strings"
)

// OpenRoot returns the root inside env, without verifying a signature.
func OpenRoot(env Envelope) (Root, error) {
	if err := env.is(TypeRoot); err != nil {
		return Root{}, err
	}
	return DecodeRoot(env.Payload)
}

// OpenManifest returns the manifest inside env, without verifying a signature.
func OpenManifest(env Envelope) (Manifest, error) {
	if err := env.is(TypeManifest); err != nil {
		return Manifest{}, err
	}
	return DecodeManifest(env.Payload)
}

// OpenHead returns the head inside env, without verifying a signature.
func OpenHead(env Envelope) (Head, error) {
	if err := env.is(TypeHead); err != nil {
		return Head{}, err
	}
	return DecodeHead(env.Payload)
}

func (e Envelope) is(typ string) error {
	if e.Type != typ {
		return fmt.Errorf("%w: envelope of type %q, want %q", ErrMalformed, clip(e.Type), typ)
	}
	return nil
}

// VerifyRoot returns the root inside env if it is signed as it must be.
//
// Without prev it must be version 1, signed by a threshold of its own root
// keys. With prev, which the caller has verified, it must be the version after
// it, name it by hash, keep its class, keep or tighten every revocation, revoke
// every publishing key that it drops, and be signed by a threshold of its own
// root keys and by a threshold of prev's root keys or of prev's recovery keys.
// In both cases every signature must verify, and none may be of another key.
//
// Errors: ErrChain for another place, ErrSignature, ErrNotAuthorized for
// foreign or too few signers, those of DecodeRoot.
func VerifyRoot(env Envelope, prev *Root) (Root, error) {
	if err := env.Verify(); err != nil {
		return Root{}, fmt.Errorf("verifying root: %w", err)
	}
	r, err := OpenRoot(env)
	if err != nil {
		return Root{}, err
	}
	if prev == nil {
		err = r.checkFounding(env.Signers())
	} else {
		err = r.checkSuccession(env.Signers(), *prev)
	}
	if err != nil {
		return Root{}, fmt.Errorf("verifying root version %d: %w", r.Version, err)
	}
	return r, nil
}

func (r Root) checkFounding(signers []PublicKey) error {
	if r.Version != 1 {
		return fmt.Errorf("%w: it does not found a channel", ErrChain)
	}
	return r.checkSigners(signers, r.Root)
}

func (r Root) checkSuccession(signers []PublicKey, prev Root) error {
	if err := r.checkFollows(prev); err != nil {
		return err
	}
	if !prev.metFor(signers) {
		return fmt.Errorf("%w: neither a threshold of version %d's root keys nor of its recovery keys signed", ErrNotAuthorized, prev.Version)
	}
	return r.checkSigners(signers, r.signersAfter(prev)...)
}

// checkFollows checks all that r must keep as the root after prev but who
// signed it.
func (r Root) checkFollows(prev Root) error {
	if r.Version != prev.Version+1 {
		return fmt.Errorf("%w: it does not follow version %d", ErrChain, prev.Version)
	}
	before, err := prev.Encode()
	if err != nil {
		return err
	}
	if *r.Prev != HashPayload(before) {
		return fmt.Errorf("%w: it names another version %d", ErrChain, prev.Version)
	}
	if r.Class != prev.Class {
		return fmt.Errorf("%w: class %s became %s", ErrChain, prev.Class, r.Class)
	}
	return r.checkWithdrawals(prev)
}

// metFor reports whether signers may name the root after r: a threshold of its
// root keys or of its recovery keys.
func (r Root) metFor(signers []PublicKey) bool {
	return r.Root.metBy(signers) || r.Recovery != nil && r.Recovery.metBy(signers)
}

// signersAfter are the sets of which keys may sign r as the root after prev.
func (r Root) signersAfter(prev Root) []KeySet {
	sets := []KeySet{r.Root, prev.Root}
	if prev.Recovery != nil {
		sets = append(sets, *prev.Recovery)
	}
	return sets
}

// checkSigners checks that a threshold of r's own root keys signed, and nobody
// outside of the sets did.
func (r Root) checkSigners(signers []PublicKey, sets ...KeySet) error {
	if !r.Root.metBy(signers) {
		return fmt.Errorf("%w: too few of its own root keys signed, want %d", ErrNotAuthorized, r.Root.Threshold)
	}
	for _, k := range signers {
		if !slices.ContainsFunc(sets, func(s KeySet) bool { return s.contains(k) }) {
			return fmt.Errorf("%w: key %s signed and is no root key", ErrNotAuthorized, k.Short())
		}
	}
	return nil
}

// checkWithdrawals checks that no revocation of prev was taken back or moved
// to a later manifest, and that every publishing key that prev has and r has
// not is revoked: without a last good manifest, a withdrawn key could go on
// signing under prev for ever.
func (r Root) checkWithdrawals(prev Root) error {
	for _, old := range prev.Revoked {
		now, ok := r.RevokedKey(old.Key)
		if !ok {
			return fmt.Errorf("%w: the revocation of key %s was taken back", ErrChain, old.Key.Short())
		}
		if now.Seq > old.Seq || now.Seq == old.Seq && now.Hash != old.Hash {
			return fmt.Errorf("%w: the revocation of key %s was weakened", ErrChain, old.Key.Short())
		}
	}
	for _, p := range prev.Publishers {
		if p.Role != RolePublish {
			continue
		}
		if now, ok := r.Publisher(p.Key); ok && now.Role == RolePublish {
			continue
		}
		if _, ok := r.RevokedKey(p.Key); !ok {
			return fmt.Errorf("%w: publishing key %s was dropped without being revoked", ErrChain, p.Key.Short())
		}
	}
	return nil
}

// VerifyManifest returns the manifest inside env if channel id's root, which
// the caller has verified, lets its signer publish it: the manifest names this
// channel and this root version, its only signature is by the log's key, which
// the root lists with role publish, it was issued before root and key expired,
// its body is in clear or sealed as the class says, and a body in clear stays
// within the key's scopes. A body in a blob is checked once it is open, by
// Root.Authorize.
//
// Errors: ErrChain for another channel or root version, ErrSignature,
// ErrNotAuthorized, ErrExpired, those of DecodeManifest.
func VerifyManifest(env Envelope, id ID, root Root) (Manifest, error) {
	if err := env.Verify(); err != nil {
		return Manifest{}, fmt.Errorf("verifying manifest: %w", err)
	}
	m, err := OpenManifest(env)
	if err != nil {
		return Manifest{}, err
	}
	return m, m.VerifyUnder(env.Signers(), id, root)
}

// VerifyUnder is the part of VerifyManifest that comes after Envelope.Verify: m is
// what the envelope holds, signers those who signed it.
func (m Manifest) VerifyUnder(signers []PublicKey, id ID, root Root) error {
	if err := m.checkUnder(signers, id, root); err != nil {
		return fmt.Errorf("verifying manifest %d of log %s: %w", m.Seq, m.Log.Short(), err)
	}
	return nil
}

func (m Manifest) checkUnder(signers []PublicKey, id ID, root Root) error {
	if err := root.checkPlace(id, m.Channel, m.Root); err != nil {
		return err
	}
	if signers[0] != m.Log { // Verify saw to it that there is exactly one
		return fmt.Errorf("%w: signed by key %s, not by the log's", ErrNotAuthorized, signers[0].Short())
	}
	if err := root.checkRight(m.Log, m.Issued, RolePublish); err != nil {
		return err
	}
	if (len(m.Sealed) > 0) != (root.Class == Private) {
		return fmt.Errorf("%w: the body is in clear in a private channel, or sealed in a public one", ErrMalformed)
	}
	if m.Body != nil {
		return root.Authorize(m.Log, *m.Body)
	}
	return nil
}

// Authorize checks that the scopes of log's key cover all that body names; if
// not, the error wraps ErrNotAuthorized. VerifyManifest calls it for a body in
// the manifest; whoever opens a body from elsewhere must.
func (r Root) Authorize(log PublicKey, body Body) error {
	p, ok := r.Publisher(log)
	if !ok {
		return fmt.Errorf("%w: key %s is no publisher", ErrNotAuthorized, log.Short())
	}
	for _, e := range body.Entries {
		if !p.MayName(e.Name) {
			return p.outside(e.Name)
		}
	}
	for _, v := range body.Removals {
		if !p.MayName(v.Name) {
			return p.outside(v.Name)
		}
	}
	return nil
}

// outside says which names would do.
func (p Publisher) outside(name string) error {
	scopes := "it may name nothing"
	if p.Role == RolePublish {
		scopes = "it may name what is below " + clip(strings.Join(p.Scopes, ", "))
	}
	return fmt.Errorf("%w: %q is outside of the key's scopes: %s", ErrNotAuthorized, clip(name), scopes)
}

// VerifyHead returns the head inside env if channel id's root, which the
// caller has verified, lets its signer say it: the head names this channel and
// this root version, its log is one that the root lets publish, its only
// signature is by the log's key or by a key with role head, and it was issued
// before root and keys expired. Whether it is fresh depends on the clock: see
// Head.FreshAt.
//
// Errors are those of VerifyManifest.
func VerifyHead(env Envelope, id ID, root Root) (Head, error) {
	if err := env.Verify(); err != nil {
		return Head{}, fmt.Errorf("verifying head: %w", err)
	}
	h, err := OpenHead(env)
	if err != nil {
		return Head{}, err
	}
	if err := h.checkUnder(env.Signers(), id, root); err != nil {
		return Head{}, fmt.Errorf("verifying head %d of log %s: %w", h.Seq, h.Log.Short(), err)
	}
	return h, nil
}

func (h Head) checkUnder(signers []PublicKey, id ID, root Root) error {
	if err := root.checkPlace(id, h.Channel, h.Root); err != nil {
		return err
	}
	if err := root.checkRight(h.Log, h.Issued, RolePublish); err != nil {
		return err
	}
	if signers[0] != h.Log { // Verify saw to it that there is exactly one
		if err := root.checkRight(signers[0], h.Issued, RoleHead); err != nil {
			return err
		}
	}
	if (h.Epoch != 0) != (root.Class == Private) {
		return fmt.Errorf("%w: epoch %d in a %s channel", ErrMalformed, h.Epoch, root.Class)
	}
	return nil
}

// checkPlace checks that a statement about channel under root version v is one
// about channel id under r. Roots after the first do not name their channel,
// so id is the caller's word; that of version 1 is checked.
func (r Root) checkPlace(id, channel ID, v uint64) error {
	if r.Version == 1 {
		payload, err := r.Encode()
		if err != nil {
			return err
		}
		own := IDOf(payload)
		if own != id {
			return fmt.Errorf("%w: the root founds channel %s, not %s", ErrChain, own.Short(), id.Short())
		}
	}
	if channel != id {
		return fmt.Errorf("%w: it belongs to channel %s, not %s", ErrChain, channel.Short(), id.Short())
	}
	if v != r.Version {
		return fmt.Errorf("%w: it was signed under root version %d, not %d", ErrChain, v, r.Version)
	}
	return nil
}

// checkRight checks that the root gives key the role at the time of issue.
func (r Root) checkRight(key PublicKey, issued Time, role Role) error {
	p, ok := r.Publisher(key)
	if !ok || p.Role != role {
		return fmt.Errorf("%w: key %s has not the role %q", ErrNotAuthorized, key.Short(), role)
	}
	if issued > r.Expires {
		return fmt.Errorf("%w: issued %s, root version %d expired %s", ErrExpired, issued, r.Version, r.Expires)
	}
	if p.Expires != 0 && issued > p.Expires {
		return fmt.Errorf("%w: issued %s, the key's right ended %s", ErrExpired, issued, p.Expires)
	}
	return nil
}
