"""A stand-in for the Hugging Face hub, with the errors of its client."""

import fnmatch
import hashlib
from pathlib import Path
from types import SimpleNamespace

from huggingface_hub import errors

RESPONSE = errors.Response(404)
RESPONSE.request = SimpleNamespace(method="GET", url="https://hub.test")


class StandInHub:
    """Repositories of models in memory; `downloads` is the folder of its client's downloads."""

    def __init__(self, downloads: Path) -> None:
        self.downloads = downloads
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        """Files of each commit, by repository."""
        self.refs: dict[tuple[str, str], str] = {}
        """Commits of branches and tags."""
        self.private: dict[str, str] = {}
        """Tokens that private repositories need."""
        self.tokens: list[str | bool | None] = []
        """Tokens that came with the requests."""
        self.downloaded: list[str] = []

    def add(self, repository: str, folder: Path, ref: str = "main", inside: str = "") -> str:
        """Commit a folder as the whole content of a repository."""
        files = {
            inside + path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        of_all = hashlib.sha1(b"".join(name.encode() + data for name, data in files.items()))
        commit = of_all.hexdigest()
        self.commits.setdefault(repository, {})[commit] = files
        self.refs[repository, ref] = commit
        return commit

    def client(self, token: str | bool | None = None) -> "StandInClient":
        """Stand for the class `HfApi`."""
        return StandInClient(self, token)

    def files(self, repository: str) -> dict[str, bytes]:
        """Files of the newest commit."""
        return self.commits[repository][self.refs[repository, "main"]]

    def find(self, repository: str, revision: str | None, token: str | bool | None) -> str:
        """Commit of a revision, for who may see it."""
        self.tokens.append(token)
        needed = self.private.get(repository)
        if repository not in self.commits or (needed and token != needed):
            raise errors.RepositoryNotFoundError("404 Client Error.\nmore", response=RESPONSE)
        revision = revision or "main"
        commit = self.refs.get((repository, revision), revision)
        if commit not in self.commits[repository]:
            raise errors.RevisionNotFoundError("404 Client Error.\nmore", response=RESPONSE)
        return commit

    def snapshot_download(
        self,
        repository: str,
        *,
        revision: str | None,
        cache_dir: Path | None = None,
        token: str | bool | None = None,
        allow_patterns: list[str] | None = None,
        local_files_only: bool,
    ) -> str:
        """Stand for the function of this name."""
        kept = (cache_dir or self.downloads) / repository.replace("/", "--")
        ref = kept / "refs" / (revision or "main")
        if local_files_only:
            if not ref.is_file():
                raise errors.LocalEntryNotFoundError("no such snapshot")
            return str(kept / "snapshots" / ref.read_text(encoding="utf-8"))
        commit = self.find(repository, revision, token)
        for name, content in self.commits[repository][commit].items():
            if any(fnmatch.fnmatch(name, pattern) for pattern in allow_patterns or ["*"]):
                path = kept / "snapshots" / commit / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                self.downloaded.append(name)
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(commit, encoding="utf-8")
        return str(kept / "snapshots" / commit)


class StandInClient:
    """The methods of `HfApi` that are used."""

    def __init__(self, hub: StandInHub, token: str | bool | None) -> None:
        self.hub = hub
        self.token = token

    def model_info(self, repository: str, revision: str | None = None) -> SimpleNamespace:
        commit = self.hub.find(repository, revision, self.token)
        names = self.hub.commits[repository][commit]
        return SimpleNamespace(
            siblings=[SimpleNamespace(rfilename=name) for name in names],
            private=repository in self.hub.private,
        )

    def create_repo(self, repository: str, *, private: bool, exist_ok: bool) -> None:
        if repository.partition("/")[0] != "owner":
            raise errors.HfHubHTTPError("403 Forbidden: not yours\nmore", response=RESPONSE)
        if repository not in self.hub.commits:
            self.hub.commits[repository] = {"": {}}
            self.hub.refs[repository, "main"] = ""
            if private:
                self.hub.private[repository] = str(self.token)

    def upload_folder(
        self, *, repo_id: str, folder_path: Path, commit_message: str
    ) -> SimpleNamespace:
        self.hub.find(repo_id, None, self.token)
        commit = self.hub.add(repo_id, Path(folder_path))
        return SimpleNamespace(commit_url=f"https://hub.test/{repo_id}/commit/{commit}")
