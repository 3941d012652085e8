package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/node/api"
)

func (a *app) channelUnsubscribeCommand() *cobra.Command {
	var req api.UnsubscribeRequest
	cmd := &cobra.Command{
		Use:   "channel-unsubscribe ADDRESS_OR_TOPIC [-o FOLDER]",
		Short: "end a subscription; its files stay",
		Long: `End the subscriptions to a channel or topic, all of them, or with -o the one that
writes to that folder; where there is none, that the channel is followed for
update-check. Files stay where they are; what the subscription took and left out is forgotten. The folders are named; channel-set shows them before.`,
		Example: "  aml channel-unsubscribe aml://...\n  aml channel-unsubscribe @band -o music\n  aml channel-unsubscribe music/live --json",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			req.Target = given[0]
			if cmd.Flags().Changed("output") && req.Output == "" {
				return usage(cmd, fmt.Errorf("-o is empty: which folder?"))
			}
			if req.Output != "" {
				if req.Output, err = absolute(req.Output); err != nil {
					return err
				}
			}
			if err := api.CheckTargets(req.Target); err != nil {
				return err
			}
			c, err := a.existing(cmd.Context())
			if err != nil {
				return err
			}
			res, err := c.Unsubscribe(cmd.Context(), req)
			if err = closing(c, err); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) {
				if res.Followed {
					fmt.Fprintln(w, "followed no longer; there was no subscription, as update-check needs none")
					return
				}
				fmt.Fprintf(w, "%s ended", counted(res.Ended, "subscription"))
				if res.Left > 0 {
					fmt.Fprintf(w, ", %d to the same left", res.Left)
				}
				fmt.Fprintln(w)
				for _, folder := range res.Outputs {
					fmt.Fprintf(w, "  %s\n", folder)
				}
			})
		},
	}
	cmd.Flags().StringVarP(&req.Output, "output", "o", "", "only the subscription that writes to this folder")
	return cmd
}
