package mirrors3

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// settings are what an operator has set. The secret is in none of them.
type settings struct {
	endpoint    *url.URL
	bucket      string
	prefix      string
	credentials string // a file
}

// configure looks at the settings, and calls nobody: a server that is away now
// is no reason to turn the plugin off.
func (m *mirror) configure(_ context.Context, s sdk.Setup) (err error) {
	if !s.Has(plugins.Network) {
		return errors.New("it cannot call a server: grant the capability network")
	}
	if m.settings, err = parseSettings(s.Config); err != nil {
		return err
	}
	creds, err := readCredentials(m.credentials)
	if err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	client, err := minio.New(m.endpoint.Host, &minio.Options{
		Creds: creds, Secure: m.endpoint.Scheme == "https", Region: s.Config["region"], Transport: transport(), MaxRetries: maxTries,
	})
	if err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	client.SetAppInfo("aml", "mirror-s3")
	m.s3 = minio.Core{Client: client}
	return nil
}

// transport waits for nobody for ever, and reads no endless answers.
func transport() http.RoundTripper {
	return bounded{&http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute,
		MaxIdleConnsPerHost: atOnce, MaxConnsPerHost: 2 * atOnce, MaxResponseHeaderBytes: 64 << 10,
		DisableCompression: true, ForceAttemptHTTP2: true,
	}}
}

// bounded ends answers that are larger than any that is asked for.
type bounded struct{ http.RoundTripper }

// maxAnswer is a blob, or a text about what is wrong.
const maxAnswer = maxBlob + 1

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	most := int64(maxAnswer)
	if res.StatusCode >= 300 || req.Method != http.MethodGet || req.URL.RawQuery != "" { // it has no blob
		most = maxWords
	}
	res.Body = &answer{ReadCloser: res.Body, left: most}
	return res, nil
}

// maxWords bounds answers without a blob.
const maxWords = 64 << 10

type answer struct {
	io.ReadCloser
	left int64
}

var errLong = errors.New("the server sends more than it was asked for")

func (a *answer) Read(b []byte) (int, error) {
	if a.left <= 0 {
		return 0, errLong
	}
	n, err := a.ReadCloser.Read(b[:min(int64(len(b)), a.left)])
	a.left -= int64(n)
	return n, err
}

func parseSettings(config map[string]string) (out settings, err error) {
	if out.endpoint, err = url.Parse(config["endpoint"]); err != nil {
		return out, errors.New("endpoint: it is no address") // url's error repeats it, with a password that is in it
	}
	switch u := out.endpoint; {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return out, errors.New("endpoint: want one such as https://s3.example.org")
	case u.User != nil:
		return out, errors.New("endpoint: credentials do not belong there, but into a file")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return out, errors.New("endpoint: want no path; bucket and prefix are settings of their own")
	}
	if out.bucket = config["bucket"]; s3utils.CheckValidBucketName(out.bucket) != nil {
		return out, fmt.Errorf("bucket: %.80q is no name of a bucket", out.bucket)
	}
	if out.prefix = strings.Trim(config["prefix"], "/"); out.prefix != "" && !fs.ValidPath(out.prefix) || len(out.prefix) > 512 {
		return out, fmt.Errorf("prefix: %.80q is no path", out.prefix)
	}
	if out.credentials = config["credentials"]; !filepath.IsAbs(out.credentials) {
		return out, fmt.Errorf("credentials: %q is not absolute", out.credentials)
	}
	return out, nil
}

// maxCredentials bounds the file.
const maxCredentials = 16 << 10

// readCredentials reads the lines of an AWS credentials file with one profile. Its
// errors do not repeat what is in it.
func readCredentials(file string) (*credentials.Credentials, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w; grant the capability files, with --path or for all", err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", file)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s can be read by others: chmod 600 %s", file, file)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxCredentials+1))
	if err == nil && len(text) > maxCredentials {
		err = fmt.Errorf("%s has over %d bytes", file, maxCredentials)
	}
	if err != nil {
		return nil, err
	}
	values, err := parseCredentials(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return credentials.NewStaticV4(values[idKey], values[secretKey], values[tokenKey]), nil
}

// The keys of a credentials file.
const idKey, secretKey, tokenKey = "aws_access_key_id", "aws_secret_access_key", "aws_session_token"

func parseCredentials(text []byte) (map[string]string, error) {
	values, profiles := map[string]string{}, 0
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
			continue
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			if profiles++; profiles > 1 || len(values) > 0 {
				return nil, fmt.Errorf("line %d: a second profile; want a file with one", n)
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || value == "" || values[key] != "" || key != idKey && key != secretKey && key != tokenKey {
			return nil, fmt.Errorf("line %d: want %s, %s or %s, once each, = and a value", n, idKey, secretKey, tokenKey)
		}
		for i := range len(value) {
			if value[i] <= ' ' || value[i] > '~' {
				return nil, fmt.Errorf("line %d: byte %d of the value is none that a key has", n, i+1)
			}
		}
		values[key] = value
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if values[idKey] == "" || values[secretKey] == "" {
		return nil, fmt.Errorf("want the lines %s and %s, each with = and a value", idKey, secretKey)
	}
	return values, nil
}
