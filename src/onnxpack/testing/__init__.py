"""What every exporter must do, as tests that a plug-in's own test suite runs.

::

    from onnxpack.testing import ExporterContract, Given

    class TestMine(ExporterContract):
        def given(self, folder):
            return Given("mine", MyExporter(), make_model(), sample)

pytest collects the methods of the class; this package itself needs no pytest.
"""

from onnxpack.testing.contract import FOREIGN, LOOSE, ExporterContract, Given
from onnxpack.testing.state import changes, object_state, process_state

__all__ = [
    "FOREIGN",
    "LOOSE",
    "ExporterContract",
    "Given",
    "changes",
    "object_state",
    "process_state",
]
