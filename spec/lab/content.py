"""What the lab's servers serve, made at each start below FOLDER:

    tls/   ca.pem, the lab's authority; site.pem and site.key, for the names of SITES
    ssh/   host key, and id, the key that is let in as git@
    git/   month-days.git, the demo's project
    www/   npm/ a registry with the package leap-years; simple/ a Python index with moonbox-lab; debian/ a flat repository with
           the package moonbox-lab
"""
import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
import zipfile

# The last is the code host of `make demo`, once dns.json says so.
SITES = ["allowed.test", "*.allowed.test", "evil.test", "evilallowed.test", "*.search.test", "github.com"]
PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "demo", "project")
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def make_certificates(folder):
    os.makedirs(folder)
    names = ",".join("DNS:" + name for name in SITES) + ",IP:203.0.113.10"
    run("openssl", "req", "-x509", *KEY, "-days", "2", "-subj", "/CN=moonbox lab", "-keyout", "ca.key", "-out", "ca.pem",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign", cwd=folder)
    run("openssl", "req", *KEY, "-subj", "/CN=allowed.test", "-keyout", "site.key", "-out", "site.csr", cwd=folder)
    write(folder + "/extensions", f"subjectAltName={names}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
    run("openssl", "x509", "-req", "-in", "site.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
        "-extfile", "extensions", "-out", "site.pem", cwd=folder)


def make_ssh(folder):
    """Only where dropbear is there to use it."""
    os.makedirs(folder + "/ssh")
    if not shutil.which("dropbearkey") or not shutil.which("ssh-keygen"):
        return
    run("dropbearkey", "-t", "ecdsa", "-f", folder + "/ssh/host")
    run("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-C", "lab", "-f", folder + "/ssh/id")
    with open(folder + "/ssh/id.pub", encoding="ascii") as file:
        write(folder + "/git/.ssh/authorized_keys", file.read())
    os.chmod(folder + "/git/.ssh/authorized_keys", 0o600)
    os.chmod(folder + "/ssh/id", 0o644)


def read_project():
    """The demo's project, path by path; the only thing that the servers need of the checkout, which not everyone may enter."""
    files = {}
    for top, _, names in os.walk(PROJECT):
        for name in names:
            path = os.path.join(top, name)
            with open(path, "rb") as file:
                files[os.path.relpath(path, PROJECT)] = file.read()
    if not files:
        raise RuntimeError(f"{os.path.normpath(PROJECT)}: there is no project")
    return files


def make_git(folder, project):
    work, bare = folder + "/git/work", folder + "/git/month-days.git"
    environment = {"PATH": os.environ["PATH"], "HOME": folder, "GIT_CONFIG_NOSYSTEM": "1"}
    for path, data in project.items():
        write(f"{work}/{path}", data)
    git = ["git", "-c", "user.name=Demo Author", "-c", "user.email=demo@moonbox.invalid", "-c", "safe.directory=*"]
    run(*git, "init", "--quiet", "--initial-branch=main", cwd=work, env=environment)
    run(*git, "add", "--all", cwd=work, env=environment)
    run(*git, "commit", "--quiet", "--message=Days of a month", cwd=work, env=environment)
    run(*git, "clone", "--quiet", "--bare", work, bare, env=environment)
    run(*git, "config", "http.receivepack", "true", cwd=bare, env=environment)
    shutil.rmtree(work)


def tarball(files, mode="w:gz"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(data), 0o644, int(time.time())
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def make_npm(folder, project):
    source = "vendor/leap-years/"
    files = {"package/" + path[len(source):]: project[path] for path in sorted(project) if path.startswith(source)}
    package, manifest = tarball(files), json.loads(files["package/package.json"])
    version, url = manifest["version"], "https://npm.allowed.test/npm/leap-years/-/leap-years-%s.tgz" % manifest["version"]
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(package).digest()).decode()
    manifest["dist"] = {"tarball": url, "integrity": integrity, "shasum": hashlib.sha1(package).hexdigest()}
    write(f"{folder}/leap-years/index.html",
          json.dumps({"name": "leap-years", "dist-tags": {"latest": version}, "versions": {version: manifest}}))
    write(f"{folder}/leap-years/-/leap-years-{version}.tgz", package)


def make_python(folder):
    out, info = io.BytesIO(), "moonbox_lab-1.0.dist-info"
    with zipfile.ZipFile(out, "w") as wheel:
        wheel.writestr("moonbox_lab.py", 'WORD = "from the index"\n')
        wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\nName: moonbox-lab\nVersion: 1.0\n")
        wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "/RECORD", f"moonbox_lab.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    name = "moonbox_lab-1.0-py3-none-any.whl"
    digest = hashlib.sha256(out.getvalue()).hexdigest()
    write(f"{folder}/moonbox-lab/{name}", out.getvalue())
    write(f"{folder}/moonbox-lab/index.html", f'<!DOCTYPE html><a href="{name}#sha256={digest}">{name}</a>\n')


def make_debian(folder):
    control = ("Package: moonbox-lab\nVersion: 1.0\nArchitecture: all\nMaintainer: lab <lab@moonbox.invalid>\n"
               "Description: a package of the lab\n")
    parts = {"debian-binary": b"2.0\n", "control.tar.gz": tarball({"./control": control.encode()}),
             "data.tar.gz": tarball({"./usr/share/moonbox-lab/word": b"from the repository\n"})}
    package = b"!<arch>\n"
    for name, data in parts.items():  # ar(5)
        package += b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (name.encode(), 0, 0, 0, b"100644", len(data)) + data + b"\n" * (len(data) % 2)
    name = "moonbox-lab_1.0_all.deb"
    write(f"{folder}/{name}", package)
    row = f"{control}Filename: ./{name}\nSize: {len(package)}\nSHA256: {hashlib.sha256(package).hexdigest()}\n\n"
    write(folder + "/Packages", row)
    write(folder + "/Packages.gz", gzip.compress(row.encode()))
    digests = "".join(f" {hashlib.sha256(data).hexdigest()} {len(data)} {file}\n"
                      for file, data in (("Packages", row.encode()), ("Packages.gz", gzip.compress(row.encode()))))
    write(folder + "/Release", f"Origin: lab\nSuite: lab\nSHA256:\n{digests}")


def make(folder, project):
    make_certificates(folder + "/tls")
    make_git(folder, project)
    make_ssh(folder)
    make_npm(folder + "/www/npm", project)
    make_python(folder + "/www/simple")
    make_debian(folder + "/www/debian")
