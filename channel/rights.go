package channel

import "slices"

// Narrows returns a publishing key from which r, the root after prev, takes
// rights that prev gave it, and says in words which; without one it returns "".
// A root may not do that: who joins late judges old manifests by old roots, so
// that whoever holds the key could go on under prev, and two honest nodes would
// see two channels. To take rights away a root revokes the key, which says
// where its log ends; that prev's keys are there or revoked is VerifyRoot's
// business.
func (r Root) Narrows(prev Root) (key PublicKey, what string) {
	for _, p := range prev.Publishers {
		if p.Role != RolePublish {
			continue
		}
		n, ok := r.Publisher(p.Key)
		switch {
		case !ok:
		case !n.Expires.IsZero() && (p.Expires.IsZero() || n.Expires < p.Expires):
			return p.Key, "shortens the life"
		case !n.covers(p):
			return p.Key, "narrows the scopes"
		}
	}
	return PublicKey{}, ""
}

// covers reports whether p may name all that old may. A scope may itself be
// named by whoever holds it, so naming every old scope means naming all that is
// below.
func (p Publisher) covers(old Publisher) bool {
	if len(old.Scopes) == 0 {
		return len(p.Scopes) == 0
	}
	return !slices.ContainsFunc(old.Scopes, func(s string) bool { return !p.MayName(s) })
}
