// Package python carries the SDK for plugins in Python: two files that lie in the
// folder of each, so that a plugin is whole. It is for those who write such
// folders; nothing here is run.
package python

import _ "embed" // the files

//go:embed aml_plugin.py
var sdk []byte

//go:embed aml_plugin_pb2.py
var generated []byte // by .ci/protogen.go

// Files are those of the SDK, by name.
func Files() map[string][]byte {
	return map[string][]byte{"aml_plugin.py": sdk, "aml_plugin_pb2.py": generated}
}
