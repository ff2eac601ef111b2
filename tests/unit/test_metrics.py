"""The numbers of a service, as Prometheus reads them."""

import asyncio
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from server.metrics import LogFacts, Metrics


def samples(metrics: Metrics, **given) -> dict[tuple, float]:
    text = metrics.text(**{"ready": True, **given}).decode()
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_operation_and_status() -> None:
    metrics = Metrics()
    for status in (200, 200, 404):
        metrics.request("SecretGet", status, 0.001)
    found = samples(metrics)
    assert found["muniment_requests_total", "200", "SecretGet"] == 2
    assert found["muniment_requests_total", "404", "SecretGet"] == 1


def test_a_time_counts_in_its_bucket_and_in_every_longer_one() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.0011, 60):
        metrics.request("SecretSet", 200, seconds)
    found = samples(metrics)
    name = "muniment_request_duration_seconds_bucket"
    assert found[name, "0.0005", "SecretSet"] == 0
    assert found[name, "0.001", "SecretSet"] == 1
    assert found[name, "0.0025", "SecretSet"] == 2
    assert found[name, "10.0", "SecretSet"] == 2
    assert found[name, "+Inf", "SecretSet"] == 3
    assert found["muniment_request_duration_seconds_count", "SecretSet"] == 3
    assert abs(found["muniment_request_duration_seconds_sum", "SecretSet"] - 60.0021) < 1e-6


def test_commits_probes_readiness_and_logs_are_told() -> None:
    metrics = Metrics()
    metrics.commit(3)
    metrics.commit(1)
    metrics.unauthenticated()
    found = samples(metrics, ready=False, logs=[LogFacts("shop", "access", 77)])
    assert found["muniment_commits_total",] == 2
    assert found["muniment_committed_requests_total",] == 4
    assert found["muniment_unauthenticated_requests_total",] == 1
    assert found["muniment_ready",] == 0
    assert found["muniment_log_records", "access", "shop"] == 77


def test_any_worker_answers_for_all_of_them(tmp_path: Path) -> None:
    one, two = Metrics(tmp_path), Metrics(tmp_path)
    one.request("SecretGet", 200, 0.001)
    two.request("SecretGet", 200, 0.002)
    two.request("SecretSet", 200, 0.002)
    for asked in (one, two):
        found = samples(asked)
        assert found["muniment_requests_total", "200", "SecretGet"] == 2
        assert found["muniment_requests_total", "200", "SecretSet"] == 1
        assert found["muniment_request_duration_seconds_count", "SecretGet"] == 2


def test_what_a_worker_counted_is_there_after_it_went(tmp_path: Path) -> None:
    gone = Metrics(tmp_path)
    gone.request("SecretGet", 200, 0.001)
    del gone
    assert samples(Metrics(tmp_path))["muniment_requests_total", "200", "SecretGet"] == 1


def test_in_an_event_loop_a_worker_writes_once_a_second_and_not_once_a_request(
    tmp_path: Path,
) -> None:
    metrics, other = Metrics(tmp_path), Metrics(tmp_path)

    async def life() -> None:
        for _ in range(1000):
            metrics.request("SecretGet", 200, 0.001)
        assert list(tmp_path.iterdir()) == []
        await asyncio.sleep(1.2)

    asyncio.run(life())
    assert samples(other)["muniment_requests_total", "200", "SecretGet"] == 1000


def test_a_file_that_is_torn_or_strange_is_left_out(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    metrics.request("SecretGet", 200, 0.001)
    (tmp_path / "1-1").write_bytes(b'{"requests": [["SecretGet", 200')
    (tmp_path / "2-2").write_bytes(b'{"requests": 3}')
    assert samples(metrics)["muniment_requests_total", "200", "SecretGet"] == 1


def test_a_full_disk_stops_no_request(tmp_path: Path) -> None:
    directory = tmp_path / "gone"
    directory.mkdir()
    metrics = Metrics(directory)
    directory.rmdir()
    metrics.request("SecretGet", 200, 0.001)
    directory.mkdir()
    assert samples(metrics)["muniment_requests_total", "200", "SecretGet"] == 1


def test_the_text_is_of_the_kind_that_its_type_says() -> None:
    text = Metrics().text(ready=True).decode()
    assert "# TYPE muniment_requests_total counter" in text
    assert "# EOF" not in text
