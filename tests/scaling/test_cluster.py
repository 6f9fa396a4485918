"""Clusters in words."""

import unittest

from tf_fullbatch.errors import UserError
from tf_fullbatch.scaling.cluster import OPTIONS, Cluster, parsed
from tf_fullbatch.scaling.devices import DEVICES


class ParsedTest(unittest.TestCase):
    def test_sizes(self):
        cluster = parsed("64x8:h100")
        self.assertEqual((cluster.sites, cluster.nodes, cluster.devices), (1, 64, 8))
        self.assertEqual((cluster.workers, cluster.replicas, cluster.name), (64, 512, "64x8"))
        sites = parsed("2x32x8:a100")
        self.assertEqual((sites.sites, sites.nodes, sites.devices, sites.replicas), (2, 32, 8, 512))
        self.assertEqual(sites.name, "2x32x8")

    def test_devices_bring_their_links(self):
        for kind, device in DEVICES.items():
            with self.subTest(kind):
                cluster = parsed(f"1x1:{kind}")
                self.assertEqual((cluster.inside, cluster.between), (device.inside, device.between))
                self.assertEqual((cluster.cores, cluster.host_memory), (device.cores, device.host_memory))
                self.assertEqual(device.host_memory is None, device.memory is None)
                self.assertEqual(set(device.flops), set(device.reached))
                self.assertTrue(all(0 < share <= 1 for share in device.reached.values()))

    def test_own_numbers_in_units(self):
        cluster = parsed(
            "3x2x4:v100,between=10Gbit,inside=25GB/s,latency=50us,spread=5%,device_spread=0.01,mtbf=1000h,restart=5m,"
            "notice=120s,micro_batch=12.5ms,wan=inf,disk=500MB,reader=80Mbit,overhead=.5ms,decode=5ms,"
            "cores=96,host_memory=1.5TB"
        )
        expected = {
            "between": 1.25e9, "inside": 25e9, "latency": 5e-5, "spread": 0.05, "device_spread": 0.01, "mtbf": 3.6e6,
            "restart": 300, "notice": 120, "micro_batch": 0.0125, "wan": float("inf"), "disk": 5e8, "reader": 1e7,
            "overhead": 5e-4, "decode": 5e-3, "cores": 96, "host_memory": 1.5e12,
        }  # fmt: skip
        for name, value in expected.items():
            with self.subTest(name):
                self.assertAlmostEqual(getattr(cluster, name), value, delta=1e-12 * min(value, 1))
        self.assertEqual(parsed("2x4:v100", 0.25).efficiency, 0.25)

    def test_every_option_is_a_field(self):
        self.assertLessEqual(set(OPTIONS), set(Cluster.__dataclass_fields__))

    def test_fewer_and_more_devices(self):
        cluster = parsed("2x4x8:h100,mtbf=5h")
        for replicas, name in ((1, "1x1"), (3, "1x3"), (8, "1x8"), (9, "2x8"), (64, "8x8"), (512, "64x8")):
            with self.subTest(replicas):
                self.assertEqual(cluster.of(replicas).name, name)
                self.assertEqual(cluster.of(replicas).mtbf, 5 * 3600)

    def test_wrong_input_is_refused_in_a_line(self):
        for text, part in (
            ("64:h100", "give [SITESx]NODESxDEVICES:KIND"),
            ("64x8", "kinds are v100, a100"),
            ("2x2x2x2:h100", "give [SITESx]"),
            ("-1x8:h100", "give [SITESx]"),
            ("0x8:h100", "accepted are 1 to 1,048,576"),
            ("99999999x8:h100", "accepted are 1 to 1,048,576"),
            ("64x8:h10", "no device 'h10'; did you mean h100"),
            ("64x8:abacus", "no device 'abacus'. Accepted are v100"),
            ("64x8:h100,betwen=1GB", "no option 'betwen'; did you mean between"),
            ("64x8:h100,between", "'between' is no option=value"),
            ("64x8:h100,between=10", "a number with its unit (kbit, Mbit"),
            ("64x8:h100,between=fastGbit", "a number with its unit"),
            ("64x8:h100,latency=5", "such as 50us, 5m or 1000h"),
            ("64x8:h100,latency=-5s", "such as 50us"),
            ("64x8:h100,mtbf=0h", "it must be above 0"),
            ("64x8:h100,spread=inf", "such as 0.05 or 5%"),
            ("64x8:h100,spread=1,spread=2", "spread comes twice"),
            ("64x8:h100,wan=1Gbit", "wan has no effect on one site"),
            ("64x8:h100,cores=0", "it must be above 0"),
            ("64x8:h100,cores=inf", "such as 112"),
            ("64x8:h100,cores=8s", "such as 112"),
            ("64x8:h100,host_memory=2", "a number with its unit (MB, GB, TB), such as 512GB or 2TB"),
            ("1x1:cpu,host_memory=2TB", "host_memory has no effect on cpu"),
        ):
            with self.subTest(text), self.assertRaises(UserError) as raised:
                parsed(text)
            self.assertIn(part, str(raised.exception))
            self.assertIn("--cluster", str(raised.exception))
            self.assertNotIn("\n", str(raised.exception))
        with self.assertRaisesRegex(
            UserError, "--cluster_efficiency=0.2 has no effect on a micro_batch of a given"
        ):
            parsed("64x8:h100,micro_batch=25ms", 0.2)


if __name__ == "__main__":
    unittest.main()
