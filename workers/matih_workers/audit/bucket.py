"""A bucket, or whatever else fsspec reaches: `s3://bucket/folder`, with the credentials of its own environment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from matih_workers.audit.errors import StorageUnavailable
from matih_workers.audit.storage import ARCHIVER, TOGETHER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime


class Bucket:
    """An object is put in one call: it is there whole, or not at all."""

    def __init__(self, url: str) -> None:
        """Connects nothing yet.

        Raises:
            StorageUnavailable: the library for this kind of address is not installed.
        """
        try:
            import fsspec

            self._files, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise StorageUnavailable(f"archive {url}: {error}: pip install 'matih-tracking[bucket]'") from error
        self._url = url

    def __str__(self) -> str:
        return self._url

    def read(self, path: str) -> bytes | None:
        """The whole object; None if there is none."""
        try:
            return bytes(self._files.cat_file(f"{self._root}/{path}"))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._unavailable(path, error) from error

    def write(self, files: Mapping[str, bytes]) -> None:
        """Puts the objects, several at once."""
        with ThreadPoolExecutor(TOGETHER) as pool:
            for done in [pool.submit(self._put, path, data) for path, data in files.items()]:
                done.result()

    def create(self, path: str, data: bytes) -> bool:
        """Puts the object unless there is one: by `If-None-Match` in S3, elsewhere as well as fsspec can."""
        try:
            self._put(path, data, mode="create")
        except StorageUnavailable as error:
            if isinstance(error.__cause__, FileExistsError):
                return False
            raise
        return True

    def versions(self) -> dict[str, bytes]:
        """All objects; in S3 also what was put over or deleted, with its version behind its name."""
        try:
            if not hasattr(self._files, "object_version_info"):
                return {path: self.read(path) or b"" for path in self.paths("")}
            files = type(self._files)(**{**self._files.storage_options, "version_aware": True})
            with ThreadPoolExecutor(TOGETHER) as pool:
                known = self._known_versions(files)
                return dict(zip(known, pool.map(files.cat_file, known.values()), strict=True))
        except StorageUnavailable:
            raise
        except Exception as error:
            raise self._unavailable("its versions", error) from error

    def _known_versions(self, files: Any) -> dict[str, str]:
        """By name where each version is read from."""
        try:
            listed = files.object_version_info(f"{self._root}/")
        except KeyError:  # so it says that there are none
            return {}
        bucket, found = self._root.partition("/")[0], {}
        for one in listed:
            path, version = f"{bucket}/{one['Key']}", one["VersionId"]
            if not path.startswith(f"{self._root}/"):  # older releases list what only begins like it
                continue
            name = path[len(self._root) + 1 :]
            found[name if one["IsLatest"] else f"{name} (version {version})"] = f"{path}?versionId={version}"
        return found

    def paths(self, folder: str) -> list[str]:
        """The objects below a folder, sorted."""
        return list(self.sizes(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        """The objects and their sizes, as the listing tells them."""
        try:
            found = self._files.find(f"{self._root}/{folder}", detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:
            raise self._unavailable(folder, error) from error
        start = len(self._files._strip_protocol(self._root).rstrip("/")) + 1
        named = {self._files._strip_protocol(path)[start:]: int(known["size"]) for path, known in found.items()}
        return dict(sorted(named.items()))

    def written_at(self, path: str) -> float | None:
        """When the object was put there."""
        try:
            written: datetime = self._files.modified(f"{self._root}/{path}")
            return written.timestamp()
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._unavailable(path, error) from error

    def delete(self, path: str) -> None:
        """Removes an object, if it is there."""
        try:
            self._files.rm_file(f"{self._root}/{path}")
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._unavailable(path, error) from error

    @contextmanager
    def lock(self, purpose: str = ARCHIVER) -> Iterator[None]:  # noqa: ARG002 - the contract's
        """Nothing holds a bucket: two archivers are told apart by the checkpoint that each has written last."""
        yield

    def _put(self, path: str, data: bytes, **how: str) -> None:
        where = f"{self._root}/{path}"
        try:
            if not self._files.protocol or "s3" not in self._files.protocol:
                self._files.makedirs(where.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(where, data, **how)
        except Exception as error:
            raise self._unavailable(path, error) from error

    def _unavailable(self, path: str, error: Exception) -> StorageUnavailable:
        # Each kind of storage has its own errors; whatever it is, nothing was counted and it is tried again.
        what: Any = " ".join(str(error).split()) or type(error).__name__
        return StorageUnavailable(f"archive {self._url}: {path}: {what}: is it there, and may we?")
