"""The SDK for plugins of aml in Python.

    #!/usr/bin/env python3
    import aml_plugin as aml

    class NoDogs(aml.Plugin):
        id, version = "no-dogs", "1.0.0"

        def filter_manifest(self, release):
            return aml.deny("about dogs") if "dog" in release.title else aml.allow()

    if __name__ == "__main__":
        aml.serve(NoDogs())

A plugin has the hooks whose methods its class defines; docs/plugins.md of aml says when
each is called, how long it may take, and what its failure means. Methods are called by
many threads at once. What is printed, to standard output too, is in `aml plugin-logs`.

It needs the packages grpcio, protobuf and cryptography, from the system or in a folder
"lib" beside this file.
"""

import base64
import datetime
import io
import os
import sys
import threading
import traceback
from concurrent import futures

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(HERE, "lib"))

try:
    import grpc
    import aml_plugin_pb2 as pb
except ImportError as missing:
    sys.exit(
        f"{missing}: a plugin in Python needs grpcio, protobuf and cryptography where it can read them: installed for all "
        "(Debian: python3-grpcio python3-cryptography), or in its own folder (pip install --target lib grpcio protobuf cryptography)"
    )

MAX_REQUEST = 64 << 20  # a release of 4,096 files
CHUNK = 256 << 10  # bytes of one message
THREADS = 32  # each call that is not answered yet has one
BLOBS = 16  # of one call are asked about at the same time: where each is a question to a server, 1,024 in a row take too long
MAX_SAID = 2048  # characters of an exception that the host is told: more does not fit


class Denied(Exception):
    """Raised by before_publish: why the draft must not be published."""


class Setup:
    """What a plugin is told before anything else."""

    def __init__(self, request):
        self.config = dict(request.config)  # with the defaults of plugin.yaml
        self.state = request.state_folder  # a folder of its own, which stays
        self.granted = {pb.Capability.Name(c).removeprefix("CAPABILITY_").lower() for c in request.granted}

    def has(self, capability):
        """Whether a capability, such as "network", was granted."""
        return capability in self.granted


def allow(labels=None):
    """Lets a release or a file pass."""
    return pb.FilterVerdict(decision=pb.DECISION_ALLOW, labels=labels or {})


def deny(reason):
    """Refuses it, for good."""
    return pb.FilterVerdict(decision=pb.DECISION_DENY, reason=reason)


def quarantine(reason):
    """Refuses it for now: it is asked about again."""
    return pb.FilterVerdict(decision=pb.DECISION_QUARANTINE, reason=reason)


def mask(names, labels=None):
    """Lets a release pass but for the files of these names."""
    return pb.FilterVerdict(decision=pb.DECISION_ALLOW, mask=names, labels=labels or {})


class Plugin:
    """What a plugin does: define id, version and the methods of its hooks."""

    id = version = ""

    def configure(self, setup):
        """Is called once, before any hook. An exception keeps the plugin from being used, and is shown."""

    # FilterManifest: filter_manifest(release) -> allow(), deny(), quarantine() or mask(); None allows
    # PlanFetch:      plan_fetch(plan) -> PlanChange of the files that are to be otherwise
    # ScanContent:    scan_content(start, content) -> as filter_manifest; content.read(n) gives bytes, b"" at the end
    # BeforePublish:  before_publish(channel, draft), which may change the draft, or raise Denied
    # Source:         poll(source, cursor) yields (SourceItem or None, cursor after it);
    #                 open(handle, offset) yields bytes
    # Mirror:         put(id, size, data), data.read(n); has(id) -> bool; get(id) -> bytes or None; delete(id);
    #                 FileNotFoundError: it is not there
    # Render:         render(start, releases) -> (media type, bytes); releases yields the newest first
    # Sign:           public_keys() -> keys; sign(key, message) -> signature
    # Observe:        observe(event); an exception means that it comes again


# By the number of a hook: its methods, and the service that calls them.
HOOKS = {
    pb.HOOK_FILTER_MANIFEST: (("filter_manifest",), "Filter"),
    pb.HOOK_PLAN_FETCH: (("plan_fetch",), "Planner"),
    pb.HOOK_SCAN_CONTENT: (("scan_content",), "Scanner"),
    pb.HOOK_BEFORE_PUBLISH: (("before_publish",), "Gate"),
    pb.HOOK_SOURCE: (("poll", "open"), "Source"),
    pb.HOOK_MIRROR: (("put", "has", "get", "delete"), "Mirror"),
    pb.HOOK_RENDER: (("render",), "Renderer"),
    pb.HOOK_SIGN: (("public_keys", "sign"), "Signer"),
    pb.HOOK_OBSERVE: (("observe",), "Observer"),
}


def hooks(plugin):
    """The hooks whose methods a plugin has."""
    return sorted(hook for hook, (methods, _) in HOOKS.items() if all(hasattr(plugin, m) for m in methods))


class _Chunks(io.RawIOBase):
    """A file of what comes in messages."""

    def __init__(self, parts):
        self.parts, self.rest = parts, b""

    def readable(self):
        return True

    def readinto(self, buffer):
        while not self.rest:
            part = next(self.parts, None)
            if part is None:
                return 0
            self.rest = memoryview(part)
        n = min(len(buffer), len(self.rest))
        buffer[:n], self.rest = self.rest[:n], self.rest[n:]
        return n


def _chunks(parts):
    return io.BufferedReader(_Chunks(parts), CHUNK)


class _Pipe(io.RawIOBase):
    """The first bytes of a named pipe, which has no end: the host keeps it open until it is answered."""

    def __init__(self, path, size):
        # Where the host has given up meanwhile nobody writes, and opening would wait for somebody.
        self.pipe, self.left = os.open(path, os.O_RDONLY | os.O_NONBLOCK), size
        os.set_blocking(self.pipe, True)

    def readable(self):
        return True

    def readinto(self, buffer):
        data = os.read(self.pipe, min(len(buffer), self.left)) if self.left else b""
        if self.left and not data:
            raise EOFError("nobody waits for this file any more")
        buffer[: len(data)] = data
        self.left -= len(data)
        return len(data)

    def close(self):
        if not self.closed:
            os.close(self.pipe)
        super().close()


class _Services:
    """The services of aml.plugin.v1, made of a plugin's methods."""

    def __init__(self, plugin):
        self.plugin = plugin

    def Describe(self, request, context):
        return pb.DescribeResponse(id=self.plugin.id, version=self.plugin.version, hooks=hooks(self.plugin))

    def Configure(self, request, context):
        self.plugin.configure(Setup(request))
        return pb.ConfigureResponse()

    def FilterManifest(self, request, context):
        return pb.FilterManifestResponse(verdicts=[self.plugin.filter_manifest(r) or allow() for r in request.releases])

    def PlanFetch(self, request, context):
        return pb.PlanFetchResponse(changes=self.plugin.plan_fetch(request) or [])

    def ScanContent(self, requests, context):
        start = next(requests).start
        if start.pipe:
            content = io.BufferedReader(_Pipe(start.pipe, start.entry.size), CHUNK)
        else:
            content = _chunks(r.data for r in requests)
        with content:
            verdict = self.plugin.scan_content(start, content) or allow()
        return pb.ScanContentResponse(decision=verdict.decision, reason=verdict.reason, labels=verdict.labels)

    def BeforePublish(self, request, context):
        try:
            self.plugin.before_publish(request.channel, request.draft)
        except Denied as why:
            return pb.BeforePublishResponse(deny=True, reason=str(why))
        request.draft.ClearField("earlier")  # the host has it
        return pb.BeforePublishResponse(draft=request.draft)

    def Poll(self, request, context):
        for item, cursor in self.plugin.poll(getattr(request, "from"), request.cursor):
            yield pb.PollResponse(item=item, cursor=cursor)

    def Open(self, request, context):
        for data in self.plugin.open(request.handle, request.offset):
            yield from (pb.OpenResponse(data=part) for part in _parts(data))

    def Put(self, requests, context):
        first = next(requests)

        def parts():
            yield first.data
            yield from (r.data for r in requests)

        self.plugin.put(first.id, first.size, _chunks(p for p in parts() if p))
        return pb.PutResponse()

    def Has(self, request, context):
        return pb.HasResponse(has=_each(lambda id: bool(self.plugin.has(id)), request.ids))

    def Get(self, request, context):
        try:
            data = self.plugin.get(request.id) or b""
        except FileNotFoundError:
            data = b""
        yield from (pb.GetResponse(data=part) for part in _parts(data))

    def Delete(self, request, context):
        def delete(id):
            try:
                self.plugin.delete(id)
            except FileNotFoundError:
                pass  # it is not there

        _each(delete, request.ids)
        return pb.DeleteResponse()

    def Render(self, requests, context):
        start = next(requests).start
        media_type, document = self.plugin.render(start, (r.release for r in requests))
        yield pb.RenderResponse(media_type=media_type)
        yield from (pb.RenderResponse(data=part) for part in _parts(document))

    def PublicKeys(self, request, context):
        return pb.PublicKeysResponse(keys=self.plugin.public_keys())

    def Sign(self, request, context):
        return pb.SignResponse(signature=self.plugin.sign(request.key, request.message))

    def Observe(self, requests, context):
        for event in requests:
            self.plugin.observe(event)
            yield pb.ObserveResponse(cursor=event.cursor)


def _parts(data):
    for at in range(0, len(data), CHUNK):
        yield data[at : at + CHUNK]


def _each(function, ids):
    """What function says of each, in their order, a few at a time. The first exception ends it."""
    if len(ids) < 2:
        return [function(id) for id in ids]
    pool = futures.ThreadPoolExecutor(max_workers=min(BLOBS, len(ids)))
    try:
        return list(pool.map(function, ids))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _said(function, streams):
    """A method whose exceptions are answers: they are printed, and the host is told no more than fits. Which status
    somebody's server gave to the author is no status of this call."""

    def fail(err, context):
        if not context.is_active():
            raise err  # nobody waits for it any more
        traceback.print_exc()
        text = (str(err) or type(err).__name__)[:MAX_SAID].encode(errors="replace").decode()
        context.abort(grpc.StatusCode.UNKNOWN, text)

    def once(request, context):
        try:
            return function(request, context)
        except Exception as err:
            fail(err, context)

    def stream(request, context):
        try:
            yield from function(request, context)
        except Exception as err:
            fail(err, context)

    return stream if streams else once


def _handler(function, client_streams, server_streams, read, write):
    kind = f"{'stream' if client_streams else 'unary'}_{'stream' if server_streams else 'unary'}_rpc_method_handler"
    return getattr(grpc, kind)(function, request_deserializer=read, response_serializer=write)


def _handlers(plugin, stopped):
    """The plugin's services, and those of go-plugin, whose messages are so small that they are written out here."""
    names = ["Plugin"] + [HOOKS[hook][1] for hook in hooks(plugin)]
    services = _Services(plugin)
    for name in names:
        full = "aml.plugin.v1." + name
        yield grpc.method_handlers_generic_handler(
            full,
            {
                method: _handler(_said(getattr(services, method), server), client, server, request.FromString, response.SerializeToString)
                for method, (request, response, client, server) in pb.SERVICES[full].items()
            },
        )

    def shutdown(request, context):
        stopped.set()
        return b""

    def stdio(request, context):
        return iter(())  # standard output goes where standard error goes, which the host reads

    def same(data):
        return data

    serving = b"\x08\x01"  # HealthCheckResponse{status: SERVING}
    for name, methods in {
        "grpc.health.v1.Health": {"Check": _handler(lambda request, context: serving, False, False, same, same)},
        "plugin.GRPCController": {"Shutdown": _handler(shutdown, False, False, same, same)},
        "plugin.GRPCStdio": {"StreamStdio": _handler(stdio, False, True, same, same)},
    }.items():
        yield grpc.method_handlers_generic_handler(name, methods)


def _certificate():
    """A key and a certificate for this run alone: the key in PEM, the certificate in PEM and in DER."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=30 * 365))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        cert.public_bytes(serialization.Encoding.PEM),
        cert.public_bytes(serialization.Encoding.DER),
    )


def _follow():
    """Ends the plugin when the host is gone: its end of standard input is then."""
    while os.read(0, 4096):
        pass
    os._exit(1)


def serve(plugin):
    """Is the whole main of a plugin. It returns when the host is done with it."""
    if os.environ.get("AML_PLUGIN") != "aml.plugin.v1":
        sys.exit("this is a plugin of aml, and is started by it: aml plugin-install FOLDER, or aml plugin-test FOLDER to try it")
    # Each thread's stack counts against the plugin's memory.
    threading.stack_size(1 << 20)
    threading.Thread(target=_follow, daemon=True).start()
    stopped = threading.Event()
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=THREADS),
        handlers=tuple(_handlers(plugin, stopped)),
        options=[("grpc.max_receive_message_length", MAX_REQUEST), ("grpc.max_send_message_length", MAX_REQUEST)],
    )
    address = os.path.join(os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or os.environ.get("TMPDIR") or "/tmp", f"plugin{os.getpid()}")
    known = ""
    host = os.environ.get("PLUGIN_CLIENT_CERT", "")
    if host:  # AutoMTLS: each side knows the other by its certificate
        key, pem, der = _certificate()
        credentials = grpc.ssl_server_credentials([(key, pem)], root_certificates=host.encode(), require_client_auth=True)
        server.add_secure_port("unix:" + address, credentials)
        known = base64.b64encode(der).decode().rstrip("=")
    else:
        server.add_insecure_port("unix:" + address)
    server.start()
    # go-plugin's handshake: its own version, the protocol's, and where it is called. Nothing else may come first.
    os.write(1, f"1|1|unix|{address}|grpc|{known}\n".encode())
    sys.stdout.flush()
    os.dup2(2, 1)
    stopped.wait()
    server.stop(0.2).wait()
    os._exit(0)  # not held up by a method that does not end
