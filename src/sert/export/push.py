"""Pushing to the hub: a repository that is private unless it is to be public, and one commit with all files."""

import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from sert.endpoint.secrets import Redactor
from sert.errors import ConfigError, EndpointError, SertError
from sert.export.publication import Publication
from sert.export.writing import CARD
from sert.terminal.text import counted, cut, shorten

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]*")
_TOKEN = "give one that may write there, by `hf auth login` or in the environment variable HF_TOKEN"
_AGAIN = "Nothing was published half: files that arrived are kept there, and the same command goes on."


class Pushed(NamedTuple):
    """What was pushed.

    Attributes:
        address: Of the commit.
        private: Whether only those see it who may see the repository.
        changed: Whether there was anything new.
        others: Files of the repository that are none of these; they stay.
    """

    address: str
    private: bool
    changed: bool
    others: list[str]


def check_repository(repository: str) -> None:
    """Refuse what is no name of a repository.

    Raises:
        ConfigError: If it is none.
    """
    if not _REPOSITORY.fullmatch(repository) or ".." in repository or "--" in repository:
        raise ConfigError(
            f"{shorten(repository)} is no repository of the hub; give owner/name, of letters, digits, '-', '_' and '.'."
        )


def push(
    publication: Publication, repository: str, *, public: bool = False, say: Callable[[str], None] = lambda line: None
) -> Pushed:
    """Make the repository if it is not there, and commit all files at once.

    A repository that is there and public gets nothing unless `public` says so, and its visibility is never changed.
    Where the commit fails, files that were uploaded before it are not uploaded again by the next call.

    Raises:
        ConfigError: If there is no token, the repository is public and was not to be, or the card is refused.
        EndpointError: If the hub refuses, fails or cannot be reached. No message holds the token.
    """
    check_repository(repository)
    try:
        from huggingface_hub import HfApi, get_token
    except ImportError:
        raise ConfigError("Pushing needs the package huggingface_hub: pip install 'sert[hub]'.") from None
    token = get_token()
    if token is None:
        raise ConfigError(f"There is no token of the hub: {_TOKEN}.")
    hub = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
    api = HfApi(hub, token=token, library_name="sert", library_version=version("sert"))
    with _told(repository, Redactor(token), say):
        return _push(api, publication, repository, public=public)


def _push(api: "HfApi", publication: Publication, repository: str, *, public: bool) -> Pushed:
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.errors import RepositoryNotFoundError

    kind = publication.kind
    try:
        there: Any = api.repo_info(repository, repo_type=kind)
    except RepositoryNotFoundError:
        there = None
        api.create_repo(repository, repo_type=kind, private=not public)
    if there is not None and not there.private and not public:
        raise ConfigError(
            f"{repository} is there and public, so that everybody could read what is pushed. Give --public if that is "
            "meant, else another repository."
        )
    private = there.private if there is not None else not public
    before = set() if there is None else {each.rfilename for each in there.siblings or ()}
    added = [CommitOperationAdd(name, str(file)) for name, file in publication.files.items()]
    added.append(CommitOperationAdd(CARD, publication.card.encode()))
    commit = api.create_commit(repository, added, commit_message=f"Push by sert {version('sert')}", repo_type=kind)
    others = sorted(before - {each.path_in_repo for each in added} - {".gitattributes"})
    return Pushed(str(commit.commit_url), private, there is None or commit.oid != there.sha, others)


@contextmanager
def _told(repository: str, redact: Redactor, say: Callable[[str], None]) -> Iterator[None]:
    """Pass on what the library warns of, without its bars and its log, and turn what fails into one clear error."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, logging

    shown, verbosity = not are_progress_bars_disabled(), logging.get_verbosity()
    disable_progress_bars()
    logging.set_verbosity_error()  # it tells of second attempts with addresses that are signed
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                yield
            finally:
                for each in warned:
                    say(f"warning: {repository}: {redact(_line(each.message))}")
    except SertError:
        raise
    except Exception as error:  # its transports raise what their libraries raise
        raise _refusal(repository, error, redact) from None
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            enable_progress_bars()


def _refusal(repository: str, error: BaseException, redact: Redactor) -> SertError:
    reasons = [error]
    while (cause := reasons[-1].__cause__) is not None:
        reasons.append(cause)
    said = cut(redact("; ".join(dict.fromkeys(map(_line, reasons)))), most=600)
    if isinstance(error, ValueError) and CARD in str(error):
        return ConfigError(f"The hub refuses the card of {repository}: {said} Are the licences names that it knows?")
    if any(map(_refuses_the_token, reasons)):
        return EndpointError(f"The hub refuses the token for {repository}; {_TOKEN}. It says: {said}")
    return EndpointError(f"{repository} was not pushed: {said}. {_AGAIN}")


def _refuses_the_token(error: BaseException) -> bool:
    """Tell a refusal by the hub itself from one by the storage of large files, whose addresses expire."""
    response: Any = getattr(error, "response", None)
    if response is None:
        return False
    code, path = int(response.status_code), str(response.url.path)
    return code == 401 or (code == 403 and path.startswith("/api/"))


def _line(error: object) -> str:
    """Write an error in one line, and addresses without their queries, which may be signed."""
    return _QUERY.sub(r"\1", " ".join(str(error).split())) or type(error).__name__


def listed(publication: Publication) -> Iterator[str]:
    """List every file with its size, for people."""
    sizes = publication.sizes
    for name, size in sorted(sizes.items()):
        yield f"{size:>15,}  {name}"
    yield f"{sum(sizes.values()):>15,}  bytes in {counted(len(sizes), 'files')}"
