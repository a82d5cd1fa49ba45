"""The composition root: the only place where objects are wired together."""

import os
import random
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.applications import Starlette

from keys.secret_box import SecretBox
from ssf import __version__
from ssf.api.admin_event_types import EventTypesApi
from ssf.api.admin_events import AdminEventsApi
from ssf.api.admin_explanations import AdminExplanationsApi
from ssf.api.admin_receivers import AdminReceiversApi
from ssf.api.admin_streams import AdminStreamsApi
from ssf.api.health import Checks, Health
from ssf.api.operations import AnyOperation, Dispatcher, no_such_path
from ssf.api.sse_v1 import SseApi
from ssf.api.ssf_1_0 import SsfApi
from ssf.api.well_known import WellKnown
from ssf.clock import Clock
from ssf.control.access_tokens import AccessTokens
from ssf.control.event_types import EventCatalogue, EventTypes
from ssf.control.events import Events
from ssf.control.explanations import Explanations
from ssf.control.operations import Operations
from ssf.control.polling import Polling
from ssf.control.receivers import Receivers
from ssf.control.rounds import Rounds
from ssf.control.signing_keys import SigningKeys
from ssf.control.stream_status import StreamStatuses
from ssf.control.stream_transitions import StreamTransitions
from ssf.control.streams import Streams
from ssf.control.subjects import Subjects
from ssf.control.verification import Verifications
from ssf.delivery.egress import EgressClient
from ssf.delivery.lanes import LaneDrain, LaneLimits
from ssf.delivery.poll import Poller
from ssf.delivery.push import Pusher
from ssf.delivery.rescue import free_leases_of_the_dead, show_again_what_was_handed_out
from ssf.delivery.signing import SetSigner
from ssf.delivery.worker import PushWorker
from ssf.log import Log
from ssf.pipeline.publish import Publisher
from ssf.protocol.errors import ProtocolError
from ssf.protocol.subject_conversion import FormatFallback
from ssf.protocol.transmitter_metadata import parse_critical_subject_members, parse_issuer
from ssf.rules.egress import EgressPolicy, parse_networks
from ssf.rules.identifiers import RandomBytes
from ssf.rules.sse_stream_changes import MissingRequired
from ssf.rules.storage_errors import StorageError
from ssf.rules.subject_membership import DefaultSubjects
from ssf.settings import BadConfiguration, Settings
from ssf.store.bell import Bell
from ssf.store.database import Database
from ssf.store.projects import ensure_default_project

_HEARTBEAT_MAX_AGE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Transmitter:
    """A transmitter that is ready to serve.

    Attributes:
        app: The ASGI application; complete as it is, it needs no lifespan.
        operations: Every operation that `app` offers, for tests that walk them.
        worker: The push worker; whoever serves runs it beside the application.
        rounds: What is done by the clock; likewise.
        egress: The outbound client; entered by whoever runs the worker.
        bell: Rung after `stopping` was set, so that everybody notices at once.
    """

    app: Starlette
    operations: tuple[AnyOperation, ...]
    worker: PushWorker
    rounds: Rounds
    egress: EgressClient
    bell: Bell


def open_database(settings: Settings) -> Database:
    """The database of the settings, not connected yet.

    Raises:
        BadConfiguration: The URL is not one that we can use.
    """
    try:
        return Database(settings.database_url)
    except (ValueError, ImportError) as error:
        raise BadConfiguration(f"SSF_DATABASE_URL: {error}") from error


def egress_policy(settings: Settings) -> EgressPolicy:
    """What may be called, by the settings.

    Raises:
        BadConfiguration: A network is not one.
    """
    try:
        networks = parse_networks(settings.egress_allow)
    except ValueError as error:
        raise BadConfiguration(f"SSF_EGRESS_ALLOW: {error}") from error
    return EgressPolicy(allow_http=settings.allow_http, allowed_networks=networks)


def issuer_of(settings: Settings) -> str:
    """The issuer URL, byte for byte as configured.

    Raises:
        BadConfiguration: It is missing or not an issuer URL.
    """
    if settings.issuer is None:
        raise BadConfiguration(
            "SSF_ISSUER is missing. Set it to the https URL under which receivers know this "
            "transmitter, such as https://ssf.example.com, or try: ssf serve --dev"
        )
    try:
        return parse_issuer(settings.issuer, allow_http=settings.allow_http)
    except ProtocolError as error:
        hint = "" if settings.allow_http else " (SSF_ALLOW_HTTP=1 permits http.)"
        raise BadConfiguration(f"SSF_ISSUER {error.reason}.{hint}") from error


def critical_subject_members(settings: Settings) -> tuple[str, ...]:
    """Members of complex subjects that receivers must understand, by the settings.

    Raises:
        BadConfiguration: A name is not one.
    """
    try:
        return parse_critical_subject_members(settings.critical_subject_members)
    except ProtocolError as error:
        raise BadConfiguration(f"SSF_CRITICAL_SUBJECT_MEMBERS {error.reason}.") from error


def secret_box_of(settings: Settings) -> SecretBox:
    """What encrypts secrets at rest.

    Raises:
        BadConfiguration: The secret key is missing or too short.
    """
    if settings.secret_key is None:
        raise BadConfiguration(
            "SSF_SECRET_KEY is missing. It encrypts keys and credentials in the database; make "
            "one with: openssl rand -base64 32 (`ssf serve --dev` makes its own)"
        )
    try:
        return SecretBox(settings.secret_key.get_secret_value())
    except ValueError as error:
        raise BadConfiguration(f"SSF_SECRET_KEY: {error}") from error


def require_complete(settings: Settings) -> None:
    """Refuses settings with which a transmitter could not be built, before anything is opened.

    Raises:
        BadConfiguration: A setting is missing or wrong.
    """
    issuer_of(settings)
    secret_box_of(settings)
    egress_policy(settings)
    critical_subject_members(settings)


async def build_transmitter(
    settings: Settings,
    *,
    database: Database,
    clock: Clock,
    log: Log,
    stopping: Callable[[], bool] = lambda: False,
    random_bytes: RandomBytes = os.urandom,
) -> Transmitter:
    """Wires a transmitter over a database whose tables are there.

    Args:
        settings: Complete settings.
        database: Open; its schema has been checked.
        clock: Where the time comes from.
        log: Where lines go.
        stopping: Whether the process is about to end.
        random_bytes: Where randomness comes from.

    Raises:
        BadConfiguration: A setting is missing or wrong.
        WrongSecretKey: The database was encrypted with another secret key.
        StorageError: The database did not answer.
    """
    issuer = issuer_of(settings)
    secrets = secret_box_of(settings)
    policy = egress_policy(settings)
    bell = Bell()
    async with database.transaction() as transaction:
        project_id = await ensure_default_project(transaction, now=clock.now())
    await free_leases_of_the_dead(database, now=clock.now())
    await show_again_what_was_handed_out(database, now=clock.now())
    signing_keys = SigningKeys(database, clock, secrets, project_id=project_id)
    await signing_keys.load(settings.signing_algorithm)

    admin_token = settings.admin_token
    tokens = AccessTokens(
        database,
        clock,
        random_bytes,
        project_id=project_id,
        admin_token=None if admin_token is None else admin_token.get_secret_value(),
    )
    format_fallback = FormatFallback(settings.sse_format_fallback)
    publisher = Publisher(database, bell, clock, random_bytes, format_fallback=format_fallback)
    catalogue = EventCatalogue(database, oauth_events=settings.oauth_events)
    streams = Streams(
        database=database,
        bell=bell,
        clock=clock,
        random_bytes=random_bytes,
        secrets=secrets,
        catalogue=catalogue,
        issuer=issuer,
        egress_policy=policy,
        sse_auto_provision=settings.sse_auto_provision,
    )
    signer = SetSigner(
        issuer=issuer,
        keyring=lambda: signing_keys.keyring,
        algorithm=settings.signing_algorithm,
        format_fallback=format_fallback,
    )
    egress = EgressClient(
        policy,
        deadline_seconds=settings.push_attempt_seconds,
        user_agent=f"sharedsignals/{__version__}",
    )
    limits = LaneLimits(
        in_flight=settings.push_in_flight,
        attempt_seconds=settings.push_attempt_seconds,
        lease_seconds=settings.push_attempt_seconds + 15,
    )
    pusher = Pusher(
        signer=signer,
        egress=egress,
        clock=clock,
        random=random.SystemRandom().random,
        open_secret=streams.open_secret,
        log=log,
    )
    worker = PushWorker(
        database=database,
        drain=LaneDrain(database=database, pusher=pusher, clock=clock, limits=limits, log=log),
        bell=bell,
        clock=clock,
        limits=limits,
        owner=f"{socket.gethostname()}:{os.getpid()}",
        log=log,
    )
    poller = Poller(
        database=database,
        signer=signer,
        bell=bell,
        clock=clock,
        wait_seconds=settings.poll_wait_seconds,
        visibility_seconds=settings.poll_visibility_seconds,
        stopping=stopping,
        log=log,
    )
    polling = Polling(database, poller, streams)
    verifications = Verifications(
        database=database,
        publisher=publisher,
        clock=clock,
        random_bytes=random_bytes,
        owned=streams,
    )
    receivers = Receivers(
        database,
        bell,
        clock,
        random_bytes,
        tokens,
        catalogue,
        default_interval_seconds=settings.min_verification_interval_seconds,
        default_max_streams=settings.max_streams_per_receiver,
        default_subjects=DefaultSubjects(settings.default_subjects),
    )
    subjects = Subjects(
        database=database,
        clock=clock,
        owned=streams,
        removal_grace_seconds=settings.subject_removal_grace_seconds,
        max_subjects=settings.max_subjects_per_stream,
    )
    transitions = StreamTransitions(
        database=database,
        publisher=publisher,
        bell=bell,
        clock=clock,
        random_bytes=random_bytes,
        log=log,
    )
    operators = Operations(database, clock)
    rounds = Rounds(
        {
            "pause_inactive": transitions.pause_inactive,
            "probe": verifications.probe,
            "purge_subjects": operators.purge_subjects,
            **({} if database.is_sqlite else {"ring_polls": poller.ring_due}),
        },
        log,
    )
    statuses = StreamStatuses(database, bell, clock, streams)
    operations: tuple[AnyOperation, ...] = (
        *SsfApi(
            streams=streams,
            statuses=statuses,
            subjects=subjects,
            verifications=verifications,
            polling=polling,
        ).operations(),
        *SseApi(
            streams=streams,
            subjects=subjects,
            statuses=statuses,
            verifications=verifications,
            polling=polling,
            missing_required=MissingRequired(settings.sse_missing_required),
        ).operations(),
        *AdminEventsApi(Events(publisher, catalogue)).operations(),
        *AdminReceiversApi(receivers).operations(),
        *EventTypesApi(EventTypes(database, clock, catalogue)).operations(),
        *AdminStreamsApi(operations=operators, transitions=transitions).operations(),
        *AdminExplanationsApi(Explanations(database)).operations(),
        *WellKnown(
            issuer=issuer,
            keyring=lambda: signing_keys.keyring,
            default_subjects=settings.default_subjects,
            critical_subject_members=critical_subject_members(settings),
        ).operations(),
        *Health(_checks(database, worker, clock, stopping)).operations(),
    )
    app = Starlette(
        routes=Dispatcher(tokens, clock, log).routes(operations),
        exception_handlers={404: no_such_path},
    )
    # A redirect would be built from the Host header, and a path with a slash more is another path.
    app.router.redirect_slashes = False
    return Transmitter(
        app=app, operations=operations, worker=worker, rounds=rounds, egress=egress, bell=bell
    )


def _checks(
    database: Database, worker: PushWorker, clock: Clock, stopping: Callable[[], bool]
) -> Checks:
    async def checks() -> Mapping[str, str]:
        return {
            "database": await _database_word(database),
            "worker": _worker_word(worker, clock),
            "process": "stopping" if stopping() else "ok",
        }

    return checks


async def _database_word(database: Database) -> str:
    try:
        await database.ping()
    except StorageError as error:
        return error.code
    return "ok"


def _worker_word(worker: PushWorker, clock: Clock) -> str:
    at = worker.heartbeat.at
    if at is None:
        return "not_running"
    return "ok" if clock.monotonic() - at <= _HEARTBEAT_MAX_AGE_SECONDS else "stuck"
