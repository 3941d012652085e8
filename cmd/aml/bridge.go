package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/config"
	"github.com/anonymous-media-library/aml/node/api"
)

// natsFlags adds the flags that name a NATS server.
func natsFlags(cmd *cobra.Command, s *api.NATSServer) {
	cmd.Flags().StringArrayVar(&s.URLs, "url", nil, "NATS server: nats://, tls://, ws:// or wss:// HOST:PORT (repeatable, for a cluster; default the built-in server)")
	natsUserFlags(cmd, s)
}

// natsUserFlags adds those that say as whom.
func natsUserFlags(cmd *cobra.Command, s *api.NATSServer) {
	cmd.Flags().StringVar(&s.Creds, "creds", "", "`FILE` of user credentials: a JWT and its seed")
	cmd.Flags().StringVar(&s.NKey, "nkey", "", "`FILE` with the seed of a user (SU...)")
	cmd.Flags().StringVar(&s.CA, "ca", "", "`FILE` of certificates that sign the server's (default the system's)")
	cmd.Flags().StringVar(&s.Inbox, "inbox", "", "`PREFIX` of the subjects on which answers come (default _INBOX)")
	cmd.Flags().StringVar(&s.Network, "network", "main", "`NAME` in all subjects and streams")
}

// natsServer makes its paths absolute and checks it, before a node is started.
func natsServer(s *api.NATSServer, listen string) (err error) {
	for _, path := range []*string{&s.Creds, &s.NKey, &s.CA} {
		if *path == "" {
			continue
		}
		if *path, err = absolute(*path); err != nil {
			return err
		}
	}
	return api.CheckNATS(*s, listen)
}

func (a *app) bridgeNATSCommand() *cobra.Command {
	var req api.BridgeNATSRequest
	var store, blobs string
	cmd := &cobra.Command{
		Use:   "bridge-nats [CHANNEL...]",
		Short: "carry channels over NATS JetStream, both ways",
		Long: `Carry channels to and from NATS JetStream until interrupted: those given, which
are followed, or all that this node publishes or follows. What is signed crosses
as it is and is verified on both sides. Files do not cross, only what is said of
them; with --blobs their sealed blobs do, through the object store, for sites that
reach no peers. Whatever is in NATS can be lost: it is filled anew from this node.

Without --url a server runs inside of this process, with its streams in the home's
folder nats; --nats-listen opens it to other programs on this machine, which may
read what comes by and hand in what is signed (docs/nats.md).
A server that is away is waited for without end. One that cannot be used (wrong
credentials, no JetStream) ends the command when it starts.`,
		Example: "  aml bridge-nats\n  aml bridge-nats aml://... --url nats://10.0.0.5:4222 --creds bridge.creds\n  aml bridge-nats --url nats://a:4222 --url nats://b:4222 --nkey bridge.nk --inbox _INBOX_bridge --replicas 3\n  aml bridge-nats --nats-listen 4222 --json",
		RunE: func(cmd *cobra.Command, channels []string) (err error) {
			req.Channels, req.Peers = channels, a.peers
			if err := api.CheckTargets(channels...); err != nil {
				return err
			}
			if req.Replicas < 0 || req.Replicas > 5 {
				return usage(cmd, fmt.Errorf("--replicas %d: want 1 to 5", req.Replicas))
			}
			switch {
			case req.Replicas > 1 && len(req.URLs) == 0:
				return usage(cmd, fmt.Errorf("--replicas %d goes with --url: the built-in NATS server is one", req.Replicas))
			case req.Submit && req.ReadOnly:
				return usage(cmd, fmt.Errorf("--submit writes and --read-only does not: give one of them"))
			case req.Submit && len(req.URLs) == 0:
				return usage(cmd, fmt.Errorf("--submit goes with --url: it is for a NATS where others bridge"))
			}
			if store != "" {
				if len(req.URLs) > 0 {
					return usage(cmd, fmt.Errorf("--max-store goes without --url: it is for the built-in NATS server"))
				}
				if req.MaxStore, err = config.ParseSize(store); err != nil {
					return usage(cmd, fmt.Errorf("--max-store: %w", err))
				}
				if req.MaxStore <= 0 {
					return usage(cmd, fmt.Errorf("--max-store %s: want more than nothing", store))
				}
			}
			if blobs != "" {
				if !req.Blobs {
					return usage(cmd, fmt.Errorf("--max-blobs goes with --blobs"))
				}
				if req.MaxBlobs, err = config.ParseSize(blobs); err != nil {
					return usage(cmd, fmt.Errorf("--max-blobs: %w", err))
				}
			}
			if req.Blobs && len(req.URLs) == 0 {
				return usage(cmd, fmt.Errorf("--blobs goes with --url: nobody else reads the store of the built-in NATS server"))
			}
			if req.Blobs && req.Submit {
				return usage(cmd, fmt.Errorf("--submit has no rights on stores, and --blobs needs them: give one of them"))
			}
			if err := natsServer(&req.NATSServer, req.Listen); err != nil {
				return err
			}
			c, err := a.connect(cmd.Context(), api.NeedNetwork)
			if err != nil {
				return err
			}
			a.serving = true
			p := a.stream()
			on, wait := unhurried(cmd.Context(), p.event)
			_, err = c.BridgeNATS(cmd.Context(), req, on)
			wait()
			return closing(c, p.done(err))
		},
	}
	natsFlags(cmd, &req.NATSServer)
	cmd.Flags().IntVar(&req.Replicas, "replicas", 0, "of streams that have to be made: 3 in a cluster (default 1)")
	cmd.Flags().BoolVar(&req.ReadOnly, "read-only", false, "take what is there, and write nothing")
	cmd.Flags().BoolVar(&req.Submit, "submit", false, "hand in what this node has where others bridge, without rights on the streams, and take nothing")
	cmd.Flags().StringVar(&req.Listen, "nats-listen", "", "open the built-in server at this port, or loopback HOST:PORT, 0 for a free port")
	cmd.Flags().BoolVar(&req.Blobs, "blobs", false, "carry blobs, too, through the object store")
	cmd.Flags().StringVar(&blobs, "max-blobs", "", "`SIZE` of an object store that has to be made (default 4GiB)")
	cmd.Flags().StringVar(&store, "max-store", "", "`SIZE` of what the built-in server may keep (default 4GiB)")
	return cmd
}

// bridgeWords says what a bridge does.
func bridgeWords(v api.BridgeEvent) string {
	switch v.State {
	case "connected":
		if v.Listen != "" {
			return "bridging with " + v.Server + ", open to this machine at " + v.Listen
		}
		return "bridging with " + v.Server
	case "disconnected":
		return "lost " + v.Server + ": " + v.Message + "; trying again until it is back"
	case "blobs":
		return "put " + counted(v.Count, "blob") + " into " + v.Server
	case "junk":
		return fmt.Sprintf("refused of %.12s: %s", v.Channel, v.Message)
	}
	return fmt.Sprintf("%s %d of %.12s", v.State, v.Count, v.Channel)
}

func (a *app) bridgeNATSDeadCommand() *cobra.Command {
	var req api.DeadLettersRequest
	cmd := &cobra.Command{
		Use:   "bridge-nats-dead",
		Short: "list jobs of the NATS work queue that failed for good",
		Long: `List the dead letters of the work queue that members of a group share over NATS:
jobs that were given out five times and that nobody could do, the newest last, and
how many older ones are not listed (--limit). --revive puts one
back, to be given out as if it were new.`,
		Example: "  aml bridge-nats-dead\n  aml bridge-nats-dead --url nats://10.0.0.5:4222 --creds mirror.creds --json\n  aml bridge-nats-dead --revive fetch/3f1c...",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if req.Limit < 1 {
				return usage(cmd, fmt.Errorf("--limit %d: want 1 or more", req.Limit))
			}
			if err := natsServer(&req.NATSServer, ""); err != nil {
				return err
			}
			c, err := a.connect(cmd.Context(), api.NeedStore)
			if err != nil {
				return err
			}
			res, err := c.DeadLetters(cmd.Context(), req)
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) {
				t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				for _, l := range res.Letters {
					fmt.Fprintf(t, "%s/%s\t%s\t%d times\t%s\n", l.Kind, l.ID, l.At.Format("2006-01-02 15:04:05Z07:00"), l.Deliveries, l.Reason)
				}
				t.Flush()
				if res.Older > 0 {
					fmt.Fprintf(w, "%d older ones are not listed; --limit %d does\n", res.Older, req.Limit+res.Older)
				}
			})
		},
	}
	natsFlags(cmd, &req.NATSServer)
	cmd.Flags().IntVar(&req.Limit, "limit", 1000, "list so many, the newest")
	cmd.Flags().StringVar(&req.Revive, "revive", "", "put this one, `KIND/ID`, back into the queue")
	return cmd
}
