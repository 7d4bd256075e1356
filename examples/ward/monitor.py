"""The monitor gateway: reads the bedside monitors and sends what they show.

A client like any other. ``python -m ward.monitor http://127.0.0.1:3000`` runs it alone.
"""

import argparse
import asyncio
from dataclasses import asdict
from random import Random
from ssl import SSLContext

from bolide.client import Client, connect
from bolide.core.errors import MethodError
from ward.physiology import Baseline, PatientModel
from ward.seed import WARD

__all__ = ["Gateway", "main", "monitor"]

# sign: (mean, standard deviation) of what people have at rest
_AT_REST = {
    "heart_rate": (78.0, 8.0),
    "respiration": (16.0, 1.8),
    "saturation": (96.6, 1.3),
    "systolic": (124.0, 13.0),
    "diastolic": (76.0, 6.0),
    "temperature": (36.9, 0.35),
}

# Somebody on a ward is unwell: the note on bed 7 tells of a cough, bed 4 has lost fluid.
_UNWELL = {
    "p07": {"heart_rate": 104.0, "respiration": 22.5, "saturation": 92.8, "temperature": 38.5},
    "p04": {"heart_rate": 98.0, "systolic": 99.0, "diastolic": 62.0},
}


class Gateway:
    """The monitors of one ward.

    Args:
        client: Where readings go.
        seed: Equal seeds make equal patients.
    """

    def __init__(self, client: Client, seed: int = 7) -> None:
        """Connect no monitor yet."""
        self._client = client
        self._seed = seed
        self._models: dict[str, PatientModel] = {}

    async def send(self, seconds: float) -> None:
        """Read the monitors of all patients and send what they show.

        What cannot be sent is lost: by the time there is a connection again it would be old.

        Args:
            seconds: Time since the last reading.
        """
        patients = self._client.collection("patients").find().fetch()
        async with asyncio.TaskGroup() as sending:
            for patient in patients:
                sending.create_task(self._send_one(str(patient["_id"]), seconds))

    async def _send_one(self, patient: str, seconds: float) -> None:
        model = self._models.get(patient)
        if model is None:
            model = self._models[patient] = self._model(patient)
        signs = asdict(model.advance(seconds))
        try:
            await self._client.call("vitals.record", patient, signs, retry=False)
        except MethodError as error:
            if error.error not in ("not-found", "invocation-failed"):
                raise

    def _model(self, patient: str) -> PatientModel:
        random = Random(f"{self._seed} {patient}")
        at_rest = {sign: random.gauss(*spread) for sign, spread in _AT_REST.items()}
        return PatientModel(Baseline(**(at_rest | _UNWELL.get(patient, {}))), random)


async def monitor(
    url: str, *, ward: str = WARD, interval_s: float = 1.0, ssl: SSLContext | None = None
) -> None:
    """Send the readings of a ward until cancelled, through lost connections too.

    Args:
        url: Where the node is.
        ward: Whose patients.
        interval_s: Time between two readings, seconds.
        ssl: For ``https``; None for the authorities of this machine.
    """
    async with connect(url, wait=False, ssl=ssl) as client:
        await client.subscribe("ward.board", ward)
        gateway = Gateway(client)
        while True:
            await gateway.send(interval_s)
            await asyncio.sleep(interval_s)


def main() -> None:
    """Read the command line and run until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="ward.monitor", description=__doc__)
    parser.add_argument("url", help="where the node is, such as http://127.0.0.1:3000")
    parser.add_argument("--ward", default=WARD)
    parser.add_argument("--interval", type=float, default=1.0, metavar="SECONDS")
    options = parser.parse_args()
    try:
        asyncio.run(monitor(options.url, ward=options.ward, interval_s=options.interval))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
