package catalog

import (
	"fmt"
	"slices"

	"github.com/anonymous-media-library/aml/channel"
)

// Hold says why nothing of the channel ought to be installed now, if it is of kind
// update: the newest that is known may have been withheld or be an old one. Of a
// log that has forked it does not depend: the channel goes on with its others. The
// reason is empty if nothing holds it back, else "stale" or "forked".
func (info Info) Hold() (reason, message string) {
	if info.Root.Kind != channel.Update || !info.HasRoot {
		return "", ""
	}
	live, frozen, stale := 0, 0, ""
	for _, l := range info.Logs {
		switch {
		case !l.Publishes:
		case l.Frozen:
			frozen++
		default:
			live++
			if !l.Fresh && stale == "" {
				stale = fmt.Sprintf("nothing in force says that release %d is the newest of its publisher %s", l.Seq, l.Log.Short())
				if l.Behind {
					stale = fmt.Sprintf("its publisher %s has released more than is here", l.Log.Short())
				}
			}
		}
	}
	const remedy = "; wait for the publisher, or name another follower with --peer"
	switch {
	case info.RootFork:
		return "forked", "the channel's root keys have signed two histories, and nothing says which one is the owner's; ask for the address of a new channel"
	case info.RootExpired:
		return "stale", "the channel's root has expired; its owner has to sign a new one"
	case live > 0 && stale == "":
		return "", ""
	case live > 0:
		return "stale", stale + remedy
	case frozen > 0:
		return "forked", "all of its publishers' keys have signed two histories; its owner has to say with a new root which one stands"
	}
	return "stale", info.unpublished(remedy)
}

// unpublished says why no log is in force, and what the user can do: where no key may
// publish, waiting for one or asking others brings nothing.
func (info Info) unpublished(remedy string) string {
	may, expired := false, false
	for _, p := range info.Root.Publishers {
		if _, revoked := info.Root.RevokedKey(p.Key); revoked || p.Role != channel.RolePublish {
			continue
		}
		may = true
		expired = expired || slices.ContainsFunc(info.Logs, func(l LogInfo) bool { return l.Log == p.Key })
	}
	const owner = "; ask its owner, who alone can let in another key with a new root (channel-delegate); until then waiting brings nothing"
	switch {
	case !may && len(info.Root.Revoked) > 0:
		return "all keys that might publish in the channel are revoked, so nothing can say any more that what is here is the newest" + owner
	case !may:
		return "no key may publish in the channel" + owner
	case expired:
		return "the keys that might publish in the channel have expired" + owner
	}
	return "nothing is known here of what its publishers have released" + remedy
}
