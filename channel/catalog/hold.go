package catalog

import (
	"fmt"

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
	return "stale", "no publisher's word is in force" + remedy
}
