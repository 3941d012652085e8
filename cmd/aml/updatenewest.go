package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/node/api"
	"github.com/anonymous-media-library/aml/updates/appdir"
)

// missingVersion is a version whose build nobody gave.
type missingVersion struct {
	Version string `json:"version"`
	Message string `json:"message"`
}

// maxMissing is how many versions one update passes over: each may take as long as
// --timeout, and whoever hides many of them would have us go far back.
const maxMissing = 3

// newest has the build of the version that an installation is to have, and returns the
// file that it is in; "" if there is none to install. A version that nobody gives makes
// way for the next one above what is installed; what is wrong with the first of them is
// the error if there is none.
func (a *app) newest(cmd *cobra.Command, c *api.Client, dir *appdir.Dir, req api.UpdateRequest, timeout time.Duration, res *updateResult) (archive string, err error) {
	var first error
	for {
		if res.UpdateResult, err = c.UpdateCheck(cmd.Context(), req); err != nil {
			return "", err
		}
		res.Current = dir.Current()
		if err := dir.State().From(res.Address); err != nil {
			return "", err
		}
		switch {
		case first != nil && (res.Held != "" || !res.Newer):
			return "", first
		case res.Held != "":
			return "", errors.New(res.Held)
		case !res.Newer && req.Version == "":
			return "", &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("nothing is installed in %s: %s", dir.Path(), res.Why)}
		case !res.Newer:
			return "", nil
		}
		if archive, err = a.build(cmd, c, dir, res.UpdateResult, timeout); err == nil {
			return archive, nil
		}
		if first == nil {
			first = err
		}
		if !notHad(err) || len(req.Missing) == maxMissing || req.Version == "" || cmd.Context().Err() != nil {
			return "", first
		}
		a.warn(fmt.Sprintf("version %s cannot be had now from anyone, or is hidden from here; the next one above %s is tried: %v", res.Version, req.Version, err))
		req.Missing = append(req.Missing, res.Version)
		res.Missing = append(res.Missing, missingVersion{res.Version, err.Error()})
	}
}

// build fetches what the answer of UpdateCheck names. The blobs stay in the store as
// long as there is room: the others who update have them from here.
func (a *app) build(cmd *cobra.Command, c *api.Client, dir *appdir.Dir, r api.UpdateResult, timeout time.Duration) (archive string, err error) {
	scratch, err := dir.Scratch()
	if err != nil {
		return "", err
	}
	entry, err := json.Marshal(r.Entry)
	if err != nil {
		return "", err
	}
	archive = filepath.Join(scratch, "archive")
	p := a.beside()
	_, err = c.Fetch(cmd.Context(), api.FetchRequest{Entries: api.Document{Name: r.Entry.Name, Text: entry}, Output: archive, Peers: a.peers, Timeout: api.Duration(timeout), KeepBlobs: true, Replace: true}, p.event)
	if err = p.done(err); err != nil {
		return "", fmt.Errorf("version %s, %s: %w", r.Version, r.Entry.Name, err)
	}
	return archive, nil
}

// notHad reports whether a build did not come for want of somebody who gives it as it
// was signed.
func notHad(err error) bool {
	var e *api.Error
	return errors.As(err, &e) && (e.Code == api.CodeNotFound || e.Code == api.CodeVerify)
}
