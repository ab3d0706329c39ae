"""The rules that answers must meet, and the filters that write an answer into a file.

Cookiecutter loads this module as a Jinja extension (``_extensions`` in cookiecutter.json).
A wrong answer raises ``FailedHookException`` here, before anything is written: cookiecutter shows
its message alone and exits with code 1, where a failing hook script would bring a traceback.
"""

from __future__ import annotations

import json
import keyword
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment
from jinja2.ext import Extension

# A slug stands in import lines of the project, which must not grow too long for its linter.
LONGEST = {"project_name": 80, "project_slug": 40, "description": 200, "author": 100}
"""The most characters that each open question takes."""

SLUG = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")

JINJA_OPENINGS = ("{{", "{%", "{#")
"""Cookiecutter and cruft render answers that they read back, so these would not survive an update."""

DEPENDENCIES = frozenset(
    """
    adlfs aiobotocore aiohappyeyeballs aiohttp aiohttp_retry aioitertools aiosignal alembic amqp
    annotated_doc annotated_types antlr4 antlr4_python3_runtime anyio appdirs appnope argcomplete
    ast_serialize asttokens async_timeout asyncssh atpublic attr attrs azure azure_core bc_detect_secrets
    azure_identity azure_storage_blob billiard blinker boto3 botocore cachetools celery certifi cffi
    cfn_lint cfnlint isympy jsonpatch jsonpatch_cli jsonpatch_stubs jsonpointer jsonpointer_stubs mpmath
    regex sympy
    charset_normalizer click click_didyoumean click_plugins click_repl cloudpickle colorama colorlog
    comm
    configobj contourpy cryptography cycler databricks databricks_sdk dateutil debugpy decorator
    detect_secrets
    dictdiffer diskcache distro docker dotenv dpath dulwich dvc dvc_azure dvc_data dvc_gs dvc_http
    dvc_objects dvc_render dvc_s3 dvc_studio_client dvc_task entrypoints execnet executing fastapi
    fastapi_offline flask_openapi3 flask_openapi3_swagger
    fastjsonschema filelock flask flask_cors flatbuffers flatten_dict flufl flufl_lock fonttools
    frozenlist fsspec funcy gcsfs git gitdb gitpython google google_api_core google_auth
    google_auth_oauthlib google_cloud_core google_cloud_storage google_cloud_storage_control
    google_crc32c google_resumable_media googleapis_common_protos grandalf granian graphene graphql
    graphql_core graphql_relay grpc grpc_google_iam_v1 grpc_status grpcio grpcio_status gto
    gunicorn h11 httpcore httptools httpx huey hydra hydra_core hypothesis idna images
    importlib_metadata iniconfig ipykernel ipykernel_launcher ipython ipython_pygments_lexers
    isodate iterative_telemetry itsdangerous jedi jinja2 jmespath joblib jsonschema
    jsonschema_specifications jupyter jupyter_client jupyter_core jwt kiwisolver knack kombu librt
    mako markdown_it markdown_it_py markupsafe matplotlib matplotlib_inline mdurl ml_dtypes mlflow
    mlflow_skinny mlflow_tracing mpl_toolkits msal msal_extensions multidict mypy mypy_extensions
    mypyc narwhals nbclient nbformat nbstripout nest_asyncio2 networkx numpy oauthlib omegaconf
    onnx onnxruntime opentelemetry opentelemetry_api opentelemetry_proto opentelemetry_sdk
    opentelemetry_semantic_conventions orjson packaging pandas parso pathspec pexpect pil pillow
    platformdirs pluggy polars polars_runtime_32 prettytable prometheus_client prompt_toolkit
    propcache proto proto_plus protobuf psutil ptyprocess public pure_eval py pyarrow pyasn1
    pre_commit_hooks prek
    pyasn1_modules pycparser pydantic pydantic_core pydantic_settings pydevd_plugins pydot pygit2
    pygments pygtrie pyjwt pylab pyparsing pytest pytest_xdist python_dateutil python_dotenv pywin32 pyyaml
    pyzmq referencing requests requests_oauthlib rich rpds rpds_py ruamel ruamel_yaml ruff s3fs s3transfer
    scikit_learn scipy scmrepo semver setuptools shellingham shortuuid shtab six skl2onnx sklearn
    skops skrub smmap sortedcontainers sqlalchemy sqlparse sqltrie stack_data starlette tabulate
    threadpoolctl tomlkit tornado tqdm traitlets typer types_pyyaml typing_extensions
    typing_inspection tzdata tzlocal unidiff urllib3 uvicorn uvloop validate vine voluptuous watchfiles
    wcwidth websockets werkzeug wrapt wrapt_stubs xdist yaml yaml_stubs yarl zc zc_lockfile zipp zmq
    """.split()
)
"""Every distribution and module in a generated project's environment; ``-`` is written ``_``."""

FOLDERS = frozenset(
    """
    build config data deploy dist docs frontend logs models notebooks reports scripts site src
    templates test tests
    """.split()
)
"""Folders of a generated project, and those that its tools make."""

OTHER_PYTHONS_MODULES = frozenset(
    """
    aifc annotationlib asynchat asyncore audioop cgi cgitb chunk compression crypt distutils imghdr
    imp lib2to3 mailcap msilib nis nntplib ossaudiodev pipes smtpd sndhdr spwd sunau telnetlib uu
    xdrlib
    """.split()
)
"""Standard modules of some supported Python that the running one may lack."""

WINDOWS_DEVICES = frozenset(
    ["aux", "con", "nul", "prn"] + [f"{port}{number}" for port in ("com", "lpt") for number in range(10)]
)


def package(answers: Mapping[str, object]) -> str:
    """Return the import name of the generated package."""
    return str(answers["project_slug"]).replace("-", "_")


def checked(answers: Mapping[str, object]) -> Mapping[str, object]:
    """Return the answers as they are.

    Raises ``FailedHookException`` with every wrong answer and what to answer instead.
    """
    problems = list(wrong_answers(answers))
    if problems:
        raise FailedHookException(
            "\n".join(
                [
                    "Nothing was written, because of these answers:",
                    *(f"  - {problem}" for problem in problems),
                    "Run the same command again and answer these differently.",
                ]
            )
        )
    return answers


def wrong_answers(answers: Mapping[str, object]) -> Iterator[str]:
    """Yield one sentence for each wrong answer: what is wrong, and what to answer instead."""
    for question in LONGEST:
        yield from _wrong_text(question, str(answers[question]))
    yield from _wrong_slug(str(answers["project_slug"]))
    for question, choices in _choices().items():
        if answers[question] not in choices:
            yield f"{question} is {_shown(answers[question])}: answer one of {', '.join(choices)}."
    if answers["cloud"] != "none" and answers["containers"] == "none":
        cloud = _shown(answers["cloud"])
        yield f"cloud is {cloud}, which runs images: answer docker or kubernetes to containers."
    if answers.get("__package", package(answers)) != package(answers):
        yield f"__package is {_shown(answers['__package'])}: leave it out, it follows from project_slug."


def chosen(answers: Mapping[str, object]) -> str:
    """Return the answers that files depend on, as ``question=answer`` with spaces between."""
    choices = {question: answers[question] for question in _choices()}
    pairs = {"package": package(answers), **choices}
    return " ".join(f"{question}={answer}" for question, answer in pairs.items())


def quoted(answer: str) -> str:
    """Return a string literal that TOML, YAML and JSON all read as exactly ``answer``."""
    return json.dumps(answer, ensure_ascii=False)


def markdown(answer: str) -> str:
    """Return Markdown that is shown as exactly ``answer``, wherever in a line it stands."""
    escaped = re.sub(r"([\\`*_\[\]<>&#|~$])", r"\\\1", answer)
    return re.sub(r"^([-+=]|\d+(?=[.)]))", _escape_list_marker, escaped)


class Answers(Extension):
    """Give cookiecutter's Jinja environment the filters of this module."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        filters: tuple[Callable[..., object], ...] = (checked, package, chosen, quoted, markdown)
        environment.filters.update({function.__name__: function for function in filters})


def _wrong_text(question: str, answer: str) -> Iterator[str]:
    longest = LONGEST[question]
    unprintable = sorted({character for character in answer if not character.isprintable()})
    opening = next((opening for opening in JINJA_OPENINGS if opening in answer), None)
    if not answer.strip():
        yield f"{question} is empty: answer with 1 to {longest} characters."
    elif answer != answer.strip():
        yield f"{question} begins or ends with a space: answer {_shown(answer.strip())}."
    if len(answer) > longest:
        yield f"{question} has {len(answer)} characters: answer with at most {longest}."
    if unprintable:
        names = ", ".join(f"U+{ord(character):04X}" for character in unprintable)
        yield f"{question} has characters that cannot be printed ({names}): answer in one line without them."
    if opening:
        yield f"{question} has {opening} in it, which begins a template tag: answer without it."


def _wrong_slug(slug: str) -> Iterator[str]:
    name = slug.lower().replace("-", "_")
    if slug.strip() and not SLUG.fullmatch(slug):
        yield (
            f"project_slug is {_shown(slug)}: begin with a small letter, go on with small letters and "
            'digits, words joined by single dashes, as in "penguin-weights".'
        )
    taken_by = {
        "a Python keyword": keyword.iskeyword(name) or keyword.issoftkeyword(name),
        "a module of Python's own": name in sys.stdlib_module_names or name in OTHER_PYTHONS_MODULES,
        "a package that the project depends on": name in DEPENDENCIES,
        "a folder of the project": name in FOLDERS,
        "a device's name on Windows": name in WINDOWS_DEVICES,
    }
    for owner, taken in taken_by.items():
        if taken:
            yield f'project_slug is {_shown(slug)}, {owner}: add a word, as in "{slug}-model".'


def _choices() -> dict[str, list[str]]:
    questions = json.loads(Path(__file__).with_name("cookiecutter.json").read_text(encoding="utf-8"))
    return {
        question: choices
        for question, choices in questions.items()
        if isinstance(choices, list) and not question.startswith("_")
    }


def _shown(answer: object, longest: int = 40) -> str:
    text = json.dumps(str(answer), ensure_ascii=not str(answer).isprintable())
    return text if len(text) <= longest else f'{text[:longest]}…"'


def _escape_list_marker(match: re.Match[str]) -> str:
    marker = match.group()
    return f"{marker}\\" if marker[0].isdigit() else f"\\{marker}"
