package mirrors3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"syscall"

	"github.com/minio/minio-go/v7"
)

// missing reports whether a server says that an object is not there.
func missing(err error) bool {
	res := minio.ToErrorResponse(err)
	return res.Code == minio.NoSuchKey
}

// explain says what went wrong and what can be done. What the server says in its
// own words is left out: it may repeat what it was sent.
func (m *mirror) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s: %w", m.endpoint.Host, cause)
	}
	res := minio.ToErrorResponse(err)
	code := fmt.Sprintf("%.60q, HTTP status %d", res.Code, res.StatusCode)
	switch res.Code {
	case "":
		return fmt.Errorf("%s cannot be called: %w", m.endpoint.Host, bare(err))
	case minio.NoSuchBucket:
		return fmt.Errorf("%s has no bucket %q: make it there, or set bucket", m.endpoint.Host, m.bucket)
	case minio.AccessDenied, "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AccountProblem", "AllAccessDisabled":
		return fmt.Errorf("%s refuses the credentials of %s, or what they are to do in bucket %q (%s): %w", m.endpoint.Host, m.credentials, m.bucket, code, fs.ErrPermission)
	case "RequestTimeTooSkewed":
		return fmt.Errorf("%s has another time than this machine: set the clock", m.endpoint.Host)
	case "QuotaExceeded", "StorageFull", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "ServiceQuotaExceeded":
		return fmt.Errorf("%s has no room for it (%s); what is there stays", m.endpoint.Host, code)
	case "AuthorizationHeaderMalformed", minio.InvalidRegion:
		return fmt.Errorf("%s wants another region (%s): set region", m.endpoint.Host, code)
	}
	switch {
	case res.StatusCode == http.StatusInsufficientStorage:
		return fmt.Errorf("%s has no room for it (%s); what is there stays", m.endpoint.Host, code)
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return fmt.Errorf("%s leads elsewhere (%s): set endpoint and region to what it leads to", m.endpoint.Host, code)
	}
	return fmt.Errorf("%s cannot do it now, or does not speak S3 (%s)", m.endpoint.Host, code)
}

// bare is what went wrong with a request, without its address.
func bare(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("%w; grant the capability network", err)
	}
	return err
}
