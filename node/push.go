package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/anonymous-media-library/aml/blobnet/httpmirror"
)

// maxPushErrors is how many failures a push's error names.
const maxPushErrors = 3

// PushHTTP copies blobs to where a plain web server serves them. It emits
// ProgressEvents.
func (n *Node) PushHTTP(ctx context.Context, req PushRequest, emit func(any)) (PushResult, error) {
	ids, err := n.ids(ctx, req.Named)
	if err != nil {
		return PushResult{}, err
	}
	header := http.Header{}
	if req.Authorization != "" {
		header.Set("Authorization", req.Authorization)
	}
	troubled := false
	done, err := httpmirror.Push(ctx, httpmirror.PushConfig{
		Target: req.Target, Source: n.blobs, IDs: ids, Verify: req.Verify,
		Link: httpmirror.Link{Header: header},
		OnProgress: func(p httpmirror.PushResult) {
			if p.Trouble != nil && !troubled {
				troubled = true
				emit(ErrorEvent{Event: "error", Message: p.Trouble.Error(), Retry: true})
			}
			emit(ProgressEvent{Event: "progress", Name: "push", Done: uint64(p.SentBytes)})
		},
	})
	for i, f := range done.Failures {
		if i == maxPushErrors {
			break
		}
		emit(ErrorEvent{Event: "error", Message: fmt.Sprintf("blob %s: %v", f.ID.Short(), f.Err)})
	}
	res := PushResult{Pushed: int64(done.Sent), Bytes: done.SentBytes, There: int64(done.Skipped), Failed: int64(done.Failed)}
	switch {
	case errors.Is(err, httpmirror.ErrTarget):
		return res, badRequest("%w", err)
	case errors.Is(err, httpmirror.ErrIncomplete): // what was copied is a result, too
		res.Why = err.Error()
		if errors.Is(err, httpmirror.ErrWho) {
			res.Why += "; give USER:PASSWORD@ in the URL, or AML_HTTP_AUTHORIZATION in the environment"
		}
		return res, nil
	}
	return res, err
}
