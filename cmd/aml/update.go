package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/node/api"
	"github.com/anonymous-media-library/aml/updates"
	"github.com/anonymous-media-library/aml/updates/appdir"
)

// updateFlags are those of both commands.
func updateFlags(cmd *cobra.Command, req *api.UpdateRequest, timeout *time.Duration) {
	cmd.Flags().Bool("retry", false, "take versions too that did not work here before")
	cmd.Flags().StringVar(&req.Track, "track", updates.Stable, "take versions of this track too, beside the stable ones")
	cmd.Flags().StringVar(&req.Platform, "platform", runtime.GOOS+"/"+runtime.GOARCH, "take builds for this system")
	cmd.Flags().DurationVar(timeout, "timeout", time.Minute, "give up if the channel is not up to date after so long, or so long without a byte of the version")
}

// installation completes a request by what is installed.
func (a *app) installation(cmd *cobra.Command, req *api.UpdateRequest, s appdir.State, timeout time.Duration) error {
	if cmd.Flags().Arg(1) == "" {
		return usage(cmd, errors.New("FOLDER is empty: which one?"))
	}
	req.Installation, req.Version, req.Peers, req.Timeout = s.Installation[:], s.Version, a.peers, api.Duration(timeout)
	if retry, _ := cmd.Flags().GetBool("retry"); !retry {
		for _, r := range s.Refused {
			req.Refused = append(req.Refused, r.Version)
		}
	}
	if err := notNegative(timeout); err != nil {
		return usage(cmd, err)
	}
	return api.CheckUpdate(*req)
}

// look is the state of an application's folder. One that is new has the number already
// that it will have: update-check tells what update-apply does.
func (a *app) look(cmd *cobra.Command, folder string) (appdir.State, error) {
	state, err := appdir.Look(folder)
	if err != nil || state.Installation != (appdir.ID{}) {
		return state, err
	}
	cfg, err := a.config()
	if err != nil {
		return state, err
	}
	c, err := api.Open(cmd.Context(), cfg, api.NeedStore)
	if err != nil {
		return state, err
	}
	res, err := c.Installation(cmd.Context(), api.InstallationRequest{Folder: folder})
	if err = closing(c, err); err == nil {
		copy(state.Installation[:], res.Number)
	}
	return state, err
}

func (a *app) updateCheckCommand() *cobra.Command {
	var req api.UpdateRequest
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "update-check ADDRESS FOLDER",
		Short: "say whether a channel has a newer version of what is installed",
		Long: `Bring a channel up to date and say which version of its software the application in
FOLDER is to have: the highest for this system and track that has come to this
installation, and that has worked here; where nothing is installed yet, that which
update-apply of this home installs. Nothing in FOLDER is changed; the channel is
followed from then on, without its files, so that the next answer is quick
(channel-unsubscribe ends that). A version that cannot be relied on, because the channel
is stale or its publisher has signed two histories, is named with the reason.`,
		Example: "  aml update-check aml://... /opt/app\n  aml update-check @app /opt/app --track beta --json",
		Args:    args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, given []string) error {
			req.Target = given[0]
			if err := a.installation(cmd, &req, appdir.State{}, timeout); err != nil {
				return err
			}
			folder, err := absolute(given[1])
			if err != nil {
				return err
			}
			state, err := a.look(cmd, folder)
			if err != nil {
				return err
			}
			if err := a.installation(cmd, &req, state, timeout); err != nil {
				return err
			}
			c, err := a.connect(cmd.Context(), api.NeedNetwork)
			if err != nil {
				return err
			}
			res, err := c.UpdateCheck(cmd.Context(), req)
			if err = closing(c, err); err != nil {
				return err
			}
			if err := state.From(res.Address); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) { offered(w, res) })
		},
	}
	updateFlags(cmd, &req, &timeout)
	return cmd
}

// offered says what an installation is to have.
func offered(w io.Writer, r api.UpdateResult) {
	switch {
	case !r.Newer:
		fmt.Fprintln(w, r.Why)
	case r.Installed == "":
		fmt.Fprintf(w, "%s is there, and nothing is installed\n", r.Version)
	default:
		fmt.Fprintf(w, "%s is there, and %s is installed\n", r.Version, r.Installed)
	}
	if r.Newer && r.Why != "" {
		fmt.Fprintln(w, r.Why)
	}
	if r.Newer && r.Notes != "" {
		prose(w, r.Notes)
	}
	if r.Held != "" {
		fmt.Fprintln(w, r.Held)
	}
}

// updateResult is what update-apply prints.
type updateResult struct {
	api.UpdateResult
	Missing []missingVersion `json:"missing,omitempty"` // what was passed over, the highest first
	Applied bool             `json:"applied"`
	Current string           `json:"current,omitempty"` // folder of what is in force
}

func (a *app) updateApplyCommand() *cobra.Command {
	var req api.UpdateRequest
	var timeout time.Duration
	var health appdir.Health
	cmd := &cobra.Command{
		Use:   "update-apply ADDRESS FOLDER",
		Short: "install or update an application from a channel",
		Long: `Install into FOLDER, or update there, the version that update-check names. It is
fetched, verified and unpacked beside what is installed; then FOLDER/current, a link, is
switched to it in one step. The command of --health is run in its folder next; if that
fails, the version before is in force again, and this one is not tried any more,
unless with --retry.
The version before is kept. Whatever a kill or a power loss interrupts, one version is
in force, the old or the new one, and the next run goes on.
Nothing is installed from a channel that is stale, or by a key that has signed two
histories, and no version ever makes way for a lower one. Where nothing is installed, and
there is nothing for this system and track, the exit code is 4. Where something is installed
and nobody gives the newest version, the highest one above it that somebody gives is
taken; that is said, and the newest is tried first the next time.`,
		Example: "  aml update-apply aml://... /opt/app\n  aml update-apply aml://... /opt/app --health './bin/app --self-test' --health-timeout 30s",
		Args:    args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, given []string) error {
			req.Target = given[0]
			if health.Timeout <= 0 {
				return usage(cmd, fmt.Errorf("--health-timeout %v: want a time such as 30s", health.Timeout))
			}
			if err := a.installation(cmd, &req, appdir.State{}, timeout); err != nil {
				return err
			}
			folder, err := absolute(given[1])
			if err != nil {
				return err
			}
			state, err := a.look(cmd, folder)
			if err != nil {
				return err
			}
			dir, err := appdir.OpenAs(folder, state.Installation)
			if err != nil {
				return err
			}
			res, err := a.update(cmd, dir, req, timeout, health)
			if err = errors.Join(err, dir.Close()); err != nil {
				return err
			}
			return a.result(res, func(w io.Writer) {
				for _, m := range res.Missing {
					fmt.Fprintf(w, "%s is newer and CANNOT BE HAD now from anyone: %s\n", m.Version, m.Message)
				}
				if !res.Applied {
					fmt.Fprintln(w, res.Why)
					return
				}
				fmt.Fprintf(w, "%s is installed in %s\n", res.Version, res.Current)
			})
		},
	}
	updateFlags(cmd, &req, &timeout)
	cmd.Flags().StringVar(&health.Command, "health", "", "shell `COMMAND` that says by exit code 0 that a version works")
	cmd.Flags().DurationVar(&health.Timeout, "health-timeout", appdir.DefaultHealthTimeout, "how long that may take")
	return cmd
}

// update brings what is installed up to date.
func (a *app) update(cmd *cobra.Command, dir *appdir.Dir, req api.UpdateRequest, timeout time.Duration, health appdir.Health) (res updateResult, err error) {
	if err := dir.Settle(cmd.Context(), health); err != nil {
		return res, err
	}
	if err := a.installation(cmd, &req, dir.State(), timeout); err != nil {
		return res, err
	}
	c, err := a.connect(cmd.Context(), api.NeedNetwork)
	if err != nil {
		return res, err
	}
	defer func() { err = closing(c, err) }()
	archive, err := a.newest(cmd, c, dir, req, timeout, &res)
	if err != nil || archive == "" {
		return res, err
	}
	err = dir.Apply(cmd.Context(), appdir.Version{
		Channel: res.Address, Version: res.Version, Archive: archive, Name: res.Entry.Name, Run: res.Entry.Mode&0o100 != 0, Health: health,
	})
	res.Applied, res.Current = err == nil, dir.Current()
	return res, err
}
