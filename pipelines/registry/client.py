"""Kubeflow's Model Registry; the only module that imports its client.

The generated half of the client is used, not the convenient one: that one sets up logging when it is
imported, patches the event loop, and cannot finish what an interrupted registration left half done. Both speak
the API's `v1` only; registries of Kubeflow 1.11 and before know the same bodies under `v1alpha3`, so that is
tried next.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from components.common.runtime.errors import ConfigError, LesionflowError
from components.common.runtime.secrets import without_secrets
from pipelines.registry.registration import (
    BUNDLE_URI,
    DIGEST,
    EVALUATION,
    EVALUATION_URI,
    FORMAT,
    FORMAT_VERSION,
    Properties,
    Registration,
)

TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"  # where KFP's own client looks, too
_VERSIONS = ("v1", "v1alpha3")
_SECONDS = 30.0
_HINT = "expected the registry's address, such as http://model-registry-service.kubeflow.svc:8080"

T = TypeVar("T")


class RegistryError(LesionflowError):
    """The registry refused, failed, or holds something else under this name."""


@dataclass(frozen=True)
class Server:
    """A registry.

    Attributes:
        url: http:// or https://, host and port.
        token: bearer token; empty for none.
        ca: file with the certificate authorities to trust; empty for the system's.
    """

    url: str
    token: str = ""
    ca: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a registration came to.

    Attributes:
        model_id: id of the registered model.
        version_id: id of the version.
        state: `registered`; `completed`, when an earlier try had stopped half-way; `already there`.
    """

    model_id: str
    version_id: str
    state: str


@dataclass(frozen=True)
class Found:
    """A registered version that was looked up.

    Attributes:
        uri: where its bundle is: the property `bundle_uri`, else what is registered for model servers.
        digest: digest of the bundle; empty where the version was not registered by lesionflow.
        evaluation: where its evaluation is; empty where that is not registered.
    """

    uri: str
    digest: str
    evaluation: str


def server_at(url: str, token_file: Path | None = None, ca: Path | None = None) -> Server:
    """Checks address and token file.

    Args:
        url: the registry's address.
        token_file: file with the bearer token; None: the one that KF_PIPELINES_SA_TOKEN_PATH names, or none.
        ca: file with certificate authorities.

    Raises:
        ConfigError: no http(s) address, or a file that cannot be read.
    """
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ConfigError(
            f"--server: received {url!r}; allowed: an address without a name or password, which would "
            "stand in logs and in the compiled pipeline; a token comes from --token-file"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ConfigError(f"--server: received {url!r}; {_HINT}")
    if ca is not None and not ca.is_file():
        raise ConfigError(f"--ca: received {str(ca)!r}, no such file")
    given = token_file or (Path(os.environ[TOKEN_VARIABLE]) if os.environ.get(TOKEN_VARIABLE) else None)
    try:
        token = given.read_text(encoding="utf-8").strip() if given else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"token file {given}: not readable ({error})") from error
    return Server(f"{parts.scheme}://{parts.netloc}", token, str(ca or ""))


def register(server: Server, what: Registration) -> Outcome:
    """Registers model, version and artifacts; the same version twice is found, not doubled.

    Raises:
        RegistryError: unreachable, refused or failed; or the version belongs to another bundle or evaluation.
    """
    return asyncio.run(_asked(server, lambda call: _put(call, what)))


def find_version(server: Server, name: str, version: str) -> Found:
    """Looks a registered version up.

    Raises:
        RegistryError: unreachable or refused; no such model or version; or no URI is registered with it.
    """
    return asyncio.run(_asked(server, lambda call: _find(call, name, version)))


async def _asked(server: Server, ask: Callable[[_Calls], Awaitable[T]]) -> T:
    """What a registry answers, by the version of the API that it speaks."""
    from mr_openapi import ApiClient, Configuration, ModelRegistryServiceApi

    secured = server.url.startswith("https://")
    settings = Configuration(
        host=server.url, access_token=server.token or None, ssl_ca_cert=server.ca or None, verify_ssl=secured
    )

    class _Client(ApiClient):  # type: ignore[misc]
        version = _VERSIONS[0]

        def param_serialize(self, method: str, resource_path: str, *args: Any, **named: Any) -> Any:
            path = resource_path.replace(f"/{_VERSIONS[0]}/", f"/{self.version}/", 1)
            return super().param_serialize(method, path, *args, **named)

    client = _Client(settings)
    try:
        call = _Calls(server, ModelRegistryServiceApi(client))
        for client.version in _VERSIONS:
            if await call.found(lambda: call.api.get_registered_models(page_size="1", _request_timeout=_SECONDS)):
                return await ask(call)
    finally:
        await client.close()
    raise RegistryError(
        f"{server.url}: answers, but does not serve the Model Registry API ({', '.join(_VERSIONS)}); {_HINT}"
    )


class _Calls:
    """The API with its errors as one line each."""

    def __init__(self, server: Server, api: Any) -> None:
        self.server, self.api = server, api

    async def found(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """The answer; None where the registry knows no such thing."""
        from mr_openapi.exceptions import NotFoundException

        try:
            return await self.made(ask)
        except NotFoundException:
            return None

    async def made(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer.

        Raises:
            RegistryError: anything but an answer; not found and conflict are left to the caller.
        """
        import aiohttp
        from mr_openapi import exceptions
        from pydantic import ValidationError

        url = self.server.url
        try:
            return await ask()
        except (exceptions.NotFoundException, exceptions.ConflictException):
            raise
        except exceptions.ApiException as error:
            said = _refusal(url, error.status, _said(error), bool(self.server.token))
            raise RegistryError(said) from None  # the cause would print the response's headers
        except (aiohttp.ClientConnectionError, TimeoutError, OSError) as error:
            raise RegistryError(f"{url}: cannot be reached ({error or type(error).__name__}); {_HINT}") from error
        except (ValidationError, ValueError, aiohttp.ClientError) as error:
            reason = str(error).split("\n")[0]
            raise RegistryError(f"{url}: does not answer like a Model Registry ({reason}); {_HINT}") from error


def _said(error: Any) -> str:
    return without_secrets(" ".join(str(error.body or error.reason or "").split()))[:200]


def _refusal(url: str, status: int, said: str, signed_in: bool) -> str:
    if status == 401:
        problem = "the token is not accepted" if signed_in else "asks for a token, none was given"
        return f"{url}: {problem} (401); give a valid one with --token-file"
    if status == 403:
        return f"{url}: this token may not do that (403: {said}); ask for the registry's editor role, or viewer to read"
    if status >= 500:
        return f"{url}: the registry failed ({status}: {said}); run the same command again, nothing is doubled"
    return f"{url}: refused ({status}: {said})"


async def _put(call: _Calls, what: Registration) -> Outcome:
    from mr_openapi import ModelVersionCreate, RegisteredModelCreate

    model = RegisteredModelCreate(name=what.name, description="Malignant or benign, from a dermoscopic image.")
    registered, _ = await _find_or_make(
        call,
        lambda: call.api.find_registered_model(name=what.name, _request_timeout=_SECONDS),
        lambda: call.api.create_registered_model(model, _request_timeout=_SECONDS),
        f"model {what.name!r}",
    )
    wanted = ModelVersionCreate(
        name=what.version,
        registered_model_id=registered.id,
        description=what.description,
        author="lesionflow",
        custom_properties=_metadata(what.properties),
    )
    version, made = await _find_or_make(
        call,
        lambda: call.api.find_model_version(
            name=what.version, parent_resource_id=registered.id, _request_timeout=_SECONDS
        ),
        lambda: call.api.create_model_version(wanted, _request_timeout=_SECONDS),
        f"version {what.version!r}",
    )
    if not made:
        _check_same(version, what)
    added = [await _add_artifact(call, version.id, one) for one in _artifacts(what)]
    state = "registered" if made else "completed" if any(added) else "already there"
    return Outcome(registered.id, version.id, state)


async def _find_or_make(
    call: _Calls, find: Callable[[], Awaitable[Any]], make: Callable[[], Awaitable[Any]], name: str
) -> tuple[Any, bool]:
    """What is there, or what was made of it; made by someone else in between counts as there."""
    from mr_openapi.exceptions import ConflictException

    there = await call.found(find)
    if there is not None:
        return there, False
    try:
        return await call.made(make), True
    except ConflictException as error:
        there = await call.found(find)
        if there is None:
            said = f"{call.server.url}: {name} is refused as a conflict ({_said(error)})"
            raise RegistryError(said) from None  # the cause would print the response's headers
        return there, False


async def _find(call: _Calls, name: str, version: str) -> Found:
    api, url = call.api, call.server.url
    model = await call.found(lambda: api.find_registered_model(name=name, _request_timeout=_SECONDS))
    if model is None:
        raise RegistryError(f"{url}: no registered model {name!r}; allowed: a name that `lesionflow register` gave")
    found = await call.found(
        lambda: api.find_model_version(name=version, parent_resource_id=model.id, _request_timeout=_SECONDS)
    )
    if found is None:
        listed = await call.made(
            lambda: api.get_registered_model_versions(model.id, page_size="20", _request_timeout=_SECONDS)
        )
        known = ", ".join(one.name for one in listed.items or []) or "none"
        raise RegistryError(f"{url}: model {name!r} has no version {version!r}; its versions: {known}")
    artifacts = await call.made(
        lambda: api.get_model_version_artifacts(found.id, page_size="100", _request_timeout=_SECONDS)
    )
    models = [one.actual_instance for one in artifacts.items or []]
    served = [one.uri for one in models if one.artifact_type == "model-artifact" and one.uri]
    uri = _text(found, BUNDLE_URI) or next(iter(served), "")
    if not uri:
        raise RegistryError(
            f"{url}: version {version!r} of model {name!r} has no URI of a bundle or model; register it again"
        )
    return Found(uri, _text(found, DIGEST), _text(found, EVALUATION_URI))


def _text(version: Any, name: str) -> str:
    """A custom property that is text; empty where there is none."""
    value = (version.custom_properties or {}).get(name)
    return str(getattr(value.actual_instance, "string_value", "")) if value is not None else ""


def _check_same(version: Any, what: Registration) -> None:
    for name, of in ((DIGEST, "bundle"), (EVALUATION, "evaluation")):
        value = _text(version, name) or "none"
        if value != what.properties[name]:
            raise RegistryError(
                f"version {what.version!r} of model {what.name!r} is registered with {of} {value[:12]}, this {of} is "
                f"{str(what.properties[name])[:12]}; a version never changes: give another --version"
            )


async def _add_artifact(call: _Calls, version_id: str, artifact: Any) -> bool:
    from mr_openapi import Artifact

    listed = await call.made(
        lambda: call.api.get_model_version_artifacts(version_id, page_size="100", _request_timeout=_SECONDS)
    )
    names = {(one.actual_instance.artifact_type, one.actual_instance.name) for one in listed.items or []}
    if (artifact.artifact_type, artifact.name) in names:
        return False
    await call.made(
        lambda: call.api.upsert_model_version_artifact(version_id, Artifact(artifact), _request_timeout=_SECONDS)
    )
    return True


def _artifacts(what: Registration) -> list[Any]:
    from mr_openapi import ArtifactState, DocArtifact, ModelArtifact

    model = ModelArtifact(
        name=what.name,
        uri=what.uri,
        model_format_name=FORMAT,
        model_format_version=FORMAT_VERSION,
        artifact_type="model-artifact",
        state=ArtifactState.LIVE,
    )
    card = DocArtifact(name="model card", uri=what.card_uri, artifact_type="doc-artifact", state=ArtifactState.LIVE)
    return [model, card] if what.card_uri else [model]


def _metadata(properties: Properties) -> dict[str, Any]:
    from mr_openapi import MetadataValue

    # bool before int: True is an int too
    kinds = ((bool, "bool"), (int, "int"), (float, "double"), (str, "string"))

    def value_of(value: str | float | bool) -> Any:
        kind = next(kind for known, kind in kinds if isinstance(value, known))
        said = str(value) if kind == "int" else value
        return MetadataValue.from_dict({f"{kind}_value": said, "metadataType": f"Metadata{kind.capitalize()}Value"})

    return {name: value_of(value) for name, value in properties.items()}
